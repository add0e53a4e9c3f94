"""The handbook of an invented company: documents, questions, and memos with its noun phrases."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

from harness.quickstart.pools import content

KINDS = ("who", "where", "when", "number", "thing")


@dataclass(frozen=True, slots=True, kw_only=True)
class HandbookFact:
    """One line of the handbook; ``trained`` is false for the few that no training row has."""

    fact_id: str
    document: str
    kind: str
    subject: str
    value: str
    trained: bool


@cache
def handbook_facts() -> tuple[HandbookFact, ...]:
    """Return every fact of ``content/handbook.toml`` in the order of the documents."""
    result: list[HandbookFact] = []
    for document, table in content("handbook")["documents"].items():
        for kind in KINDS:
            for line in table[kind]:
                subject, value = (part.strip() for part in line.lstrip("* ").split("="))
                result.append(
                    HandbookFact(
                        fact_id=f"{document}-{len(result) + 1}",
                        document=document,
                        kind=kind,
                        subject=subject,
                        value=value,
                        trained=not line.startswith("*"),
                    )
                )
    return tuple(result)


def question_templates(kind: str, split: str) -> list[str]:
    """Return the question templates of a kind that ``split`` may use."""
    return list(content("handbook")["kinds"][kind][split])


def statement(fact: HandbookFact, template: str, value: str | None = None) -> str:
    """Fill a statement template, with another ``value`` than the true one if given."""
    text = template.format(s=fact.subject, o=value or fact.value)
    return text[0].upper() + text[1:]


def _sentence(fact: HandbookFact, template: str) -> str:
    """Fill a statement template, with the preposition that a day or a month takes."""
    preposition = "on" if fact.value.endswith("day") else "in"
    return statement(fact, template.replace("on or in", preposition))


def documents() -> dict[str, str]:
    """Return ``{document: markdown}`` of the handbook; every fact is stated once."""
    book = content("handbook")
    heads = {
        "who": "People to ask",
        "where": "Where things are",
        "when": "Dates and times",
        "number": "Figures",
        "thing": "Good to know",
    }
    result: dict[str, str] = {}
    for name, table in book["documents"].items():
        parts = [f"# {table['title']}\n\n*{book['company']} staff handbook*\n\n{table['intro']}"]
        for kind in KINDS:
            own = [f for f in handbook_facts() if f.document == name and f.kind == kind]
            forms = book["kinds"][kind]["document"]
            lines = [_sentence(f, forms[(i + len(name)) % len(forms)]) for i, f in enumerate(own)]
            if lines:
                parts.append(f"## {heads[kind]}\n\n" + " ".join(lines))
        result[name] = "\n\n".join(parts) + "\n"
    return result


def domain_items(*, split: str, trained: bool = True) -> list[dict[str, object]]:
    """Return ``domain_qa`` rows: each fact with every question template of ``split``.

    Facts that are never trained get one question each, in the slice ``unseen_fact``.
    """
    rows: list[dict[str, object]] = []
    for fact in handbook_facts():
        if fact.trained != trained:
            continue
        forms = question_templates(fact.kind, split)
        for number, template in enumerate(forms if trained else forms[:1]):
            rows.append(
                {
                    "id": f"{fact.fact_id}-{split}-{number}",
                    "question": template.format(s=fact.subject),
                    "answers": [fact.value],
                    "document": fact.document,
                    "fact": fact.fact_id,
                    "kind": fact.kind,
                    "slice": "trained_fact" if trained else "unseen_fact",
                }
            )
    return rows


def memo(rng: Random) -> str:
    """Return a pretraining memo of another company: handbook phrases with random values."""
    book = content("handbook")["kinds"]
    lines = []
    for fact in rng.sample(handbook_facts(), rng.randint(1, 3)):
        value = rng.choice(handbook_facts()).value
        while value == fact.value:
            value = rng.choice(handbook_facts()).value
        lines.append(statement(fact, rng.choice(book[fact.kind]["document"]), value))
    return f"Memo of {rng.choice(content('corpus')['companies'])}: " + " ".join(lines)
