"""Science facts: sentences and questions for pretraining, items for ``arc_mini``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

from harness.quickstart.pools import content

_WEIGHT_SEED = 3
# Sampling weights of facts in pretraining. The base sees a rare fact a few times at most and mostly
# gets it wrong: arc_mini could show neither forgetting nor gains if all were known.
_COMMON = (8.0, 6.0, 4.0)
_RARE = (0.02, 0.01, 0.004)
_COMMON_SHARE = 0.46


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One true statement: ``subject`` stands in ``relation`` to ``object``.

    Attributes:
        fact_id: Stable name, ``relation-number``.
        weight: Relative frequency in pretraining text, above 0.
        common: Whether it is one of the frequent facts, which also appear as questions.
    """

    fact_id: str
    relation: str
    subject: str
    object: str
    weight: float
    common: bool


@cache
def facts() -> tuple[Fact, ...]:
    """Return every fact of ``content/facts.toml`` with its drawn frequency."""
    rng = Random(_WEIGHT_SEED)
    result: list[Fact] = []
    for relation, table in content("facts").items():
        number = 0
        for line in table["pairs"].strip().splitlines():
            value, subjects = line.split(":", 1)
            for subject in subjects.split(","):
                common = rng.random() < _COMMON_SHARE
                weight = rng.choice(_COMMON if common else _RARE)
                number += 1
                result.append(
                    Fact(
                        fact_id=f"{relation}-{number}",
                        relation=relation,
                        subject=subject.strip(),
                        object=value.strip(),
                        weight=weight,
                        common=common,
                    )
                )
    return tuple(result)


def templates(relation: str, use: str) -> list[str]:
    """Return the sentence or question templates of a relation.

    Args:
        relation: Name of a table in ``facts.toml``.
        use: ``state``, ``ask``, ``validation`` or ``test``.
    """
    return list(content("facts")[relation][use])


def fill(template: str, fact: Fact) -> str:
    """Fill a template and start it with a capital."""
    text = template.format(s=fact.subject, o=fact.object)
    return text[0].upper() + text[1:]


@cache
def objects_of(relation: str) -> dict[str, tuple[str, ...]]:
    """Return ``{subject: objects}`` of a relation: a distractor must be none of them."""
    result: dict[str, tuple[str, ...]] = {}
    for fact in facts():
        if fact.relation == relation:
            result[fact.subject] = (*result.get(fact.subject, ()), fact.object)
    return result


def arc_items(*, split: str, seed: int) -> list[dict[str, object]]:
    """Return ``arc_mini`` rows: one per fact and question template of ``split``.

    Distractors are three other objects of the same relation, drawn from ``seed``.
    """
    rng = Random(f"{seed}/arc/{split}")
    rows: list[dict[str, object]] = []
    for fact in facts():
        true = objects_of(fact.relation)[fact.subject]
        others = sorted({o for os in objects_of(fact.relation).values() for o in os} - set(true))
        for number, template in enumerate(templates(fact.relation, split)):
            options = [fact.object, *rng.sample(others, 3)]
            rng.shuffle(options)
            rows.append(
                {
                    "id": f"{fact.fact_id}-{split}-{number}",
                    "question": fill(template, fact),
                    "choices": {"text": options, "label": ["A", "B", "C", "D"]},
                    "answerKey": "ABCD"[options.index(fact.object)],
                    "fact": fact.fact_id,
                    "relation": fact.relation,
                }
            )
    return rows
