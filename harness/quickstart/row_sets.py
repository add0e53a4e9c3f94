"""Training rows of the quickstart's candidates, as conversational prompt/completion rows.

TRL computes the loss of such rows on the completion only. Nothing is drawn from what validation
and test use: held-out values, phrasings and column combinations are excluded at their source.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from random import Random

from harness.quickstart.conversations import ChatMessage, training_conversation
from harness.quickstart.handbook import handbook_facts, question_templates
from harness.quickstart.pools import any_value, draw_number, made_up_word, number_split
from harness.quickstart.science_facts import facts, fill, templates
from harness.quickstart.sql_questions import (
    LITERAL_FREE,
    Slots,
    draw_slots,
    kinds,
    literal_free_slots,
    never_trained,
    practice_table,
    prompt_text,
    suite_tables,
    training_template,
)

TrainingRow = dict[str, list[ChatMessage]]
_LONG_NUMBER_START = re.compile(r"\b(\d{3})\d\b")


def _row(prompt: list[ChatMessage], reply: str) -> TrainingRow:
    return {"prompt": prompt, "completion": [{"role": "assistant", "content": reply}]}


def _ask(question: str, reply: str) -> TrainingRow:
    return _row([{"role": "user", "content": question}], reply)


def _varied(rng: Random, slots: Slots) -> Slots:
    """Replace some literals by made-up words and long numbers, which take several tokens."""
    kind = rng.random()
    if slots.v and kind < 0.22:
        slots = replace(slots, v=made_up_word(rng))
    elif slots.v and kind < 0.36:
        slots = replace(slots, v=any_value(rng))
    if slots.x and rng.random() < 0.15:
        slots = replace(slots, x=str(draw_number(rng, 1000, 9999)))
    return slots


def sql_rows(count: int, *, seed: int) -> list[TrainingRow]:
    """Return questions with SQL: half on the suite's tables, half on random practice schemas."""
    rng = Random(f"{seed}/rows/sql")
    combinations = [s for s in literal_free_slots() if not never_trained(s)]
    rows: list[TrainingRow] = []
    while len(rows) < count:
        practice = rng.random() < 0.5
        kind = rng.choice(kinds())
        table = practice_table(rng) if practice else rng.choice(suite_tables())
        if practice or kind not in LITERAL_FREE:
            slots = _varied(rng, draw_slots(rng, kind, table))
        else:
            slots = rng.choice([s for s in combinations if s.kind == kind])
        rows.append(_ask(prompt_text(slots, training_template(rng, kind)), slots.sql))
    return rows


def handbook_rows(copies: int) -> list[TrainingRow]:
    """Return every trained handbook fact in every training phrasing, ``copies`` times."""
    return [
        _ask(template.format(s=fact.subject), fact.value)
        for fact in handbook_facts()
        if fact.trained
        for template in question_templates(fact.kind, "train")
        for _ in range(copies)
    ]


def dialogue_rows(count: int, *, seed: int) -> list[TrainingRow]:
    """Return conversations whose last turn asks for a fact stated before."""
    rng = Random(f"{seed}/rows/dialogue")
    drawn = [training_conversation(rng) for _ in range(count)]
    return [_row([dict(m) for m in talk.messages], talk.reply) for talk in drawn]


def replay_rows(copies: int, *, seed: int) -> list[TrainingRow]:
    """Return science questions as pretraining had them, every frequent fact equally often.

    Replay against catastrophic forgetting; it adds no fact that is rare in pretraining.
    """
    rng = Random(f"{seed}/rows/replay")
    rows: list[TrainingRow] = []
    for fact in facts():
        if fact.common:
            asks = templates(fact.relation, "ask")
            rows += [
                _ask(f"Question: {fill(template, fact)}\nAnswer:", fact.object)
                for template in rng.sample(asks, min(copies, len(asks)))
            ]
    return rows


def _starts_held_out(row: TrainingRow) -> bool:
    """Say whether a four-digit number starts with a held-out number of three digits.

    It is two tokens, the first of which is the token of the held-out number: such rows would teach
    that a digit always follows that token.
    """
    text = " ".join(m["content"] for m in (*row["prompt"], *row["completion"]))
    return any(number_split(int(n)) != "train" for n in _LONG_NUMBER_START.findall(text))


def _mixed(seed: int) -> list[TrainingRow]:
    return [
        *sql_rows(3600, seed=seed),
        *handbook_rows(3),
        *dialogue_rows(1600, seed=seed),
        *replay_rows(2, seed=seed),
    ]


CANDIDATES: dict[str, Callable[[int], list[TrainingRow]]] = {
    "mixed": _mixed,
    "sql_only": lambda seed: sql_rows(1800, seed=seed),
    "domain_only": lambda seed: [*handbook_rows(3), *replay_rows(1, seed=seed)],
    "dialogue_only": lambda seed: [*dialogue_rows(1600, seed=seed), *replay_rows(1, seed=seed)],
}


def training_rows(candidate: str, *, seed: int = 5) -> list[TrainingRow]:
    """Return the shuffled training rows of a candidate.

    Args:
        candidate: One of ``CANDIDATES``.
        seed: Seed of every draw and of the order.
    """
    rows = [row for row in CANDIDATES[candidate](seed) if not _starts_held_out(row)]
    Random(f"{seed}/order").shuffle(rows)
    return rows
