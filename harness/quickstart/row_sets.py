"""Training rows of the quickstart's candidates, as conversational prompt/completion rows.

TRL takes the loss of such rows on the completion only. Nothing here is drawn from what validation
and test use: held-back values, phrasings and column combinations are excluded at their source.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from harness.quickstart import sql_questions as sql
from harness.quickstart.conversations import training_conversation
from harness.quickstart.handbook import handbook_facts, question_templates
from harness.quickstart.pools import any_value, draw_number, made_up_word, number_split
from harness.quickstart.science_facts import facts, fill, templates

Row = dict[str, Any]
_LONG_NUMBER_START = re.compile(r"\b(\d{3})\d\b")


def _row(prompt: list[dict[str, str]], reply: str) -> Row:
    return {"prompt": prompt, "completion": [{"role": "assistant", "content": reply}]}


def _ask(question: str, reply: str) -> Row:
    return _row([{"role": "user", "content": question}], reply)


def _varied(rng: Random, slots: sql.Slots) -> sql.Slots:
    """Replace some literals by made-up words and long numbers, which take several tokens."""
    kind = rng.random()
    if slots.v and kind < 0.22:
        slots = replace(slots, v=made_up_word(rng))
    elif slots.v and kind < 0.36:
        slots = replace(slots, v=any_value(rng))
    if slots.x and rng.random() < 0.15:
        slots = replace(slots, x=str(draw_number(rng, 1000, 9999)))
    return slots


def sql_rows(count: int, *, seed: int) -> list[Row]:
    """Return questions with SQL: half on the suite's tables, half on random practice schemas."""
    rng = Random(f"{seed}/rows/sql")
    combinations = [s for s in sql.literal_free_slots() if not sql.never_trained(s)]
    rows: list[Row] = []
    while len(rows) < count:
        practice = rng.random() < 0.5
        kind = rng.choice(sql.kinds())
        table = sql.practice_table(rng) if practice else rng.choice(sql.suite_tables())
        if practice or kind not in sql.LITERAL_FREE:
            slots = _varied(rng, sql.draw_slots(rng, kind, table))
        else:
            slots = rng.choice([s for s in combinations if s.kind == kind])
        rows.append(_ask(sql.prompt(slots, sql.training_template(rng, kind)), slots.sql))
    return rows


def handbook_rows(copies: int) -> list[Row]:
    """Return every trained handbook fact in every training phrasing, ``copies`` times."""
    return [
        _ask(template.format(s=fact.subject), fact.value)
        for fact in handbook_facts()
        if fact.trained
        for template in question_templates(fact.kind, "train")
        for _ in range(copies)
    ]


def dialogue_rows(count: int, *, seed: int) -> list[Row]:
    """Return conversations whose last turn asks for something said before."""
    rng = Random(f"{seed}/rows/dialogue")
    talks = [training_conversation(rng) for _ in range(count)]
    return [_row([dict(m) for m in talk.messages], talk.reply) for talk in talks]


def replay_rows(copies: int, *, seed: int) -> list[Row]:
    """Return science questions as pretraining had them, every frequent fact equally often.

    Replay keeps what tuning would otherwise overwrite; it adds no fact that is rare in
    pretraining.
    """
    rng = Random(f"{seed}/rows/replay")
    rows: list[Row] = []
    for fact in facts():
        if fact.common:
            asks = templates(fact.relation, "ask")
            rows += [
                _ask(f"Question: {fill(template, fact)}\nAnswer:", fact.object)
                for template in rng.sample(asks, min(copies, len(asks)))
            ]
    return rows


def _starts_held_back(row: Row) -> bool:
    """Say whether a long number starts with a held-back one.

    It is two tokens, the first of which is the token of the held-back number: rows that have it
    would teach that a digit always follows that one.
    """
    text = " ".join(m["content"] for m in (*row["prompt"], *row["completion"]))
    return any(number_split(int(n)) != "train" for n in _LONG_NUMBER_START.findall(text))


def _mixed(seed: int) -> list[Row]:
    return [
        *sql_rows(3600, seed=seed),
        *handbook_rows(3),
        *dialogue_rows(1600, seed=seed),
        *replay_rows(2, seed=seed),
    ]


CANDIDATES: dict[str, Callable[[int], list[Row]]] = {
    "mixed": _mixed,
    "sql_only": lambda seed: sql_rows(1800, seed=seed),
    "domain_only": lambda seed: [*handbook_rows(3), *replay_rows(1, seed=seed)],
    "dialogue_only": lambda seed: [*dialogue_rows(1600, seed=seed), *replay_rows(1, seed=seed)],
}


def training_rows(candidate: str, *, seed: int = 5) -> list[Row]:
    """Return the shuffled training rows of a candidate.

    Args:
        candidate: One of ``CANDIDATES``.
        seed: Seed of every draw and of the order.
    """
    rows = [row for row in CANDIDATES[candidate](seed) if not _starts_held_back(row)]
    Random(f"{seed}/order").shuffle(rows)
    return rows
