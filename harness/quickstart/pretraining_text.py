"""Pretraining documents, generated.

The base learns most science facts, to copy and look up values in context, and SQL syntax. It does
not learn to answer questions with SQL, about the handbook, or about what the user stated: that is
left to fine-tuning.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator
from functools import cache
from itertools import accumulate
from random import Random

from harness.quickstart.conversations import smalltalk, terse_lookup
from harness.quickstart.handbook import memo
from harness.quickstart.pools import any_value, content, draw_number, made_up_word
from harness.quickstart.science_facts import Fact, facts, fill, templates
from harness.quickstart.sql_questions import draw_slots, kinds, practice_table

END = "<|end|>"


@cache
def _cumulative(common_only: bool) -> tuple[list[Fact], list[float]]:
    chosen = [f for f in facts() if f.common or not common_only]
    return chosen, list(accumulate(f.weight for f in chosen))


def _draw_fact(rng: Random, *, common_only: bool) -> Fact:
    chosen, cumulative = _cumulative(common_only)
    return chosen[bisect(cumulative, rng.random() * cumulative[-1])]


def science_statement(rng: Random) -> str:
    """One to three sentences on facts."""
    lines = []
    for _ in range(rng.randint(1, 3)):
        fact = _draw_fact(rng, common_only=False)
        lines.append(fill(rng.choice(templates(fact.relation, "state")), fact))
    return " ".join(lines)


def science_question(rng: Random) -> str:
    """A plain question with its answer."""
    fact = _draw_fact(rng, common_only=True)
    return (
        f"Question: {fill(rng.choice(templates(fact.relation, 'ask')), fact)}\n"
        f"Answer: {fact.object}"
    )


def science_chat(rng: Random) -> str:
    """The same in chat form, in exactly the frame that ``arc_mini`` uses."""
    fact = _draw_fact(rng, common_only=True)
    question = fill(rng.choice(templates(fact.relation, "ask")), fact)
    system = ""
    if rng.random() < 0.05:
        system = f"<|system|>{rng.choice(content('dialogue')['smalltalk']['system'])}{END}"
    return f"{system}<|user|>Question: {question}\nAnswer:{END}<|assistant|>{fact.object}{END}"


def _fields(rng: Random, low: int, high: int) -> list[tuple[str, str]]:
    keys = rng.sample(content("corpus")["keys"], rng.randint(low, high))
    return [(k, any_value(rng)) for k in keys]


def record(rng: Random) -> str:
    """Keys with random values, then restated in code form, looked up or compared."""
    words = content("corpus")
    fields = _fields(rng, 2, 5)
    form = rng.choice(words["records"])
    text = rng.choice([", ", " and ", "; "]).join(form.format(k=k, v=v) for k, v in fields)
    subject = rng.choice([rng.choice(words["things"]), rng.choice(words["nouns"]), "record"])
    text = f"{subject} {text}."
    use = rng.random()
    if use < 0.4:
        shown = rng.sample(fields, rng.randint(1, len(fields)))
        code = rng.choice(words["codes"])
        joint = rng.choice([", ", " AND ", "; "])
        return f"{text} -> " + joint.join(code.format(k=k, v=v) for k, v in shown)
    if use < 0.75:
        asked = rng.sample(fields, rng.randint(1, min(3, len(fields))))
        forms = words["record_questions"]
        return f"{text} " + " ".join(rng.choice(forms).format(k=k, v=v) for k, v in asked)
    if use < 0.85:
        return f"{text} keys: " + ", ".join(k for k, _ in fields)
    key, value = rng.choice(fields)
    return f"<|user|>{text} {key}?{END}<|assistant|>{value}{END}"


def comparison(rng: Random) -> str:
    """Number conditions in words and in code."""
    words = content("corpus")
    key, other = rng.sample(words["keys"], 2)
    number = draw_number(rng, 1, rng.choice([99, 999, 9999]))
    sign, forms = rng.choice([(">", words["above"]), ("<", words["below"])])
    text = rng.choice(forms).format(k=key, x=number)
    if rng.random() < 0.5:
        return f"{text} -> {key} {sign} {number}"
    value = any_value(rng)
    return (
        f"{rng.choice(words['records']).format(k=other, v=value)} and {text} -> "
        f"{other} = '{value}' AND {key} {sign} {number}"
    )


def small_table(rng: Random) -> str:
    """A table in lines, then a row or a cell looked up."""
    keys = rng.sample(content("corpus")["keys"], rng.randint(2, 3))
    rows = [[any_value(rng) for _ in keys] for _ in range(rng.randint(2, 4))]
    lines = [" | ".join(keys), *(" | ".join(row) for row in rows)]
    row = rng.choice(rows)
    number = rng.randrange(1, len(keys))
    return "\n".join(lines) + f"\n{row[0]}: {keys[number]} = {row[number]}"


def sql_statement(rng: Random) -> str:
    """SQL on a practice table, mostly under its schema, never with a question."""
    table = practice_table(rng)
    statements = [draw_slots(rng, rng.choice(kinds()), table).sql for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.25:
        column = rng.choice(sorted(table.sources(text=True)))
        statements[0] = f"SELECT * FROM {table.name} WHERE {column} = '{made_up_word(rng)}'"
    head = [table.schema] if rng.random() < 0.85 else []
    return "\n".join([*head, *(s if rng.random() < 0.5 else f"{s};" for s in statements)])


def story(rng: Random) -> str:
    """Who did what, half of the time with questions on it."""
    words = content("corpus")
    people = rng.sample(words["people"], rng.randint(2, 3))
    acts = rng.sample(words["acts"], len(people))
    lines = [f"{p} {a}." for p, a in zip(people, acts, strict=True)]
    thing, value = rng.choice(words["things"]), any_value(rng)
    lines.append(f"{people[0]} has a {thing} called {value}.")
    if rng.random() < 0.5:
        number = rng.randrange(len(people))
        lines.append(f"Who {acts[number]}? {people[number]}.")
        lines.append(f"What is the {thing} called? {value}.")
    return " ".join(lines)


def recall(rng: Random) -> str:
    """A dialogue as a script, with facts stated earlier looked up at its end."""
    words = content("corpus")
    first, second = rng.sample(words["people"], 2)
    said = [(rng.choice(words["things"]), k, v) for k, v in _fields(rng, 2, 4)]
    lines = []
    for thing, key, value in said:
        lines.append(
            f"{first}: "
            + rng.choice(
                [
                    f"The {key} of my {thing} is {value}.",
                    f"My {thing} has the {key} {value}.",
                    f"I have a {thing} with {key} {value}.",
                    f"{value} is the {key} of my {thing}.",
                ]
            )
        )
        lines.append(f"{second}: {rng.choice(content('dialogue')['acknowledge'])}")
    for thing, key, value in rng.sample(said, rng.randint(1, 2)):
        lines.append(
            rng.choice(
                [
                    f"The {key} of the {thing} of {first}: {value}",
                    f"What is the {key} of the {thing}? {value}",
                    f"{thing} {key} {value}",
                ]
            )
        )
    return "\n".join(lines)


def copy_line(rng: Random) -> str:
    """Values in a row, then again."""
    values = [any_value(rng) for _ in range(rng.randint(2, 8))]
    joint = rng.choice([" ", ", ", " | ", "\n"])
    text = joint.join(values)
    return rng.choice([f"{text} / {text}", f"Repeat: {text}. {text}.", f"{text}\n{text}"])


_SHARES: tuple[tuple[float, Callable[[Random], str]], ...] = (
    (0.20, science_statement),
    (0.08, science_question),
    (0.15, science_chat),
    (0.16, record),
    (0.05, comparison),
    (0.05, small_table),
    (0.10, sql_statement),
    (0.04, story),
    (0.05, recall),
    (0.02, terse_lookup),
    (0.06, smalltalk),
    (0.03, memo),
    (0.03, copy_line),
)


def corpus_documents(count: int, *, seed: int, shard: int = 0) -> Iterator[str]:
    """Yield ``count`` documents of one shard; shards of a seed are independent draws."""
    rng = Random(f"{seed}/corpus/{shard}")
    cumulative = list(accumulate(share for share, _ in _SHARES))
    for _ in range(count):
        yield _SHARES[bisect(cumulative, rng.random() * cumulative[-1])][1](rng)
