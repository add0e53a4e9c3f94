"""Made runs in which one thing went wrong, known by name: what a report has to bring to light.

Items, names and noise are drawn by a seed; answers go through the real judges. The base is right on
most items, the candidate changes a few of them either way, and then one cause is planted. What the
report should say is a pattern that one line of it has to match.
"""

import hashlib
import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from support.finished_runs import written_run

from harness.rating import judge_all
from harness.records import (
    BASE,
    Arm,
    Document,
    Item,
    ItemKey,
    LossPoint,
    Response,
    Sample,
    Suite,
    SuitePoint,
    Verdict,
)
from harness.store.run_folder import RunFolder

QA = Suite(
    name="handbook", title="Handbook", metric="exact_match", kind="binary", judge="qa",
    cluster="document", slices=("topic",), margin=0.05,
)  # fmt: skip
CHOICE = Suite(name="science", title="Science", metric="acc", kind="binary", margin=0.05)
SQL = Suite(
    name="queries", title="Queries", metric="robust_execution_accuracy", kind="binary", judge="sql",
    margin=0.05,
)  # fmt: skip
LETTERS = "ABCD"


@dataclass
class World:
    """One run before it is written: items and answers by arm, and what a report should say of it.

    ``says`` is a regular expression for one line of the report, ``answers`` are by suite and arm.
    """

    draw: random.Random
    items: dict[str, list[Item]] = field(default_factory=dict)
    answers: dict[tuple[str, str], list[tuple[Response, ...]]] = field(default_factory=dict)
    arm: Arm = field(default_factory=lambda: Arm(name="tuned"))
    says: str = ""

    def spoil(
        self, wanted: Callable[[Item], bool], share: float, text: Callable[[Item], str]
    ) -> None:
        """Let the candidate say something else on a share of the handbook's items."""
        given = self.answers[QA.name, "tuned"]
        for place, item in enumerate(self.items[QA.name]):
            if wanted(item) and self.draw.random() < share:
                given[place] = said(text(item))


def said(text: str, finish: str = "stop") -> tuple[Response, ...]:
    """Return a generated answer."""
    return (Response(text=text, finish=finish, tokens=len(text.split())),)


def word(draw: random.Random, syllables: int) -> str:
    """Return a made-up word."""
    return "".join(draw.choice("bdfgklmnprstv") + draw.choice("aeiou") for _ in range(syllables))


def made(kind: str, seed: int) -> World:
    """Return the world of a kind and a seed."""
    draw = random.Random(f"{kind} {seed}")
    world = World(draw)
    _ask_handbook(world)
    _ask_science(world)
    if kind in SQL_KINDS:
        _ask_queries(world)
    KINDS.get(kind, nothing)(world)
    return world


def _item(suite: Suite, number: int, doc: Document, prompt: str, target: str) -> Item:
    digest = hashlib.sha256(repr((number, doc)).encode()).hexdigest()
    return Item(
        key=ItemKey(suite.name, "none", digest, 0),
        doc_id=number,
        doc=doc,
        prompt=prompt,
        prompt_hash=digest,
        target=target,
        cluster=str(doc[suite.cluster]) if suite.cluster else digest,
        slices={name: str(doc[name]) for name in suite.slices},
    )


def _ask_handbook(world: World) -> None:
    draw = world.draw
    names = [word(draw, 4).title() for _ in range(80)]
    topics = [word(draw, 3) for _ in range(draw.choice((4, 5, 6)))]
    sources = [word(draw, 2) for _ in range(3)]
    things = [word(draw, 3) for _ in range(40)]
    items, answers = [], {BASE: [], "tuned": []}
    for number in range(draw.choice((360, 420, 480))):
        name, thing = draw.choice(names), draw.choice(things)
        filler = " ".join(draw.choice(things) for _ in range(draw.randrange(50)))
        question = f"Who keeps the {thing} in room {number}?"
        doc = {
            "id": f"row {number}",
            "question": question,
            "answers": [name],
            "topic": draw.choice(topics),
            "source": draw.choice(sources),
            "difficulty": draw.choice(("easy", "medium", "hard")),
            "document": f"{number % 20:02d}",
        }
        items.append(_item(QA, number, doc, f"{filler} {question}".strip(), name))
        is_right = draw.random() < 0.8
        other = draw.choice([one for one in names if one != name])
        for arm, given in answers.items():
            kept = is_right if arm == BASE or draw.random() > 0.08 else draw.random() < 0.5
            given.append(said(name if kept else other))
    world.items[QA.name] = items
    world.answers |= {(QA.name, arm): given for arm, given in answers.items()}


def _ask_science(world: World) -> None:
    draw = world.draw
    items, answers = [], {BASE: [], "tuned": []}
    for number in range(400):
        options = [word(draw, 3) for _ in range(4)]
        gold = draw.randrange(4)
        doc = {"id": f"q {number}", "question": f"Which one is it, {number}?", "choices": options}
        items.append(_item(CHOICE, number, doc, f"Which one is it, {number}?", str(gold)))
        sure = draw.uniform(0.4, 0.95)
        chosen = gold if draw.random() < sure else draw.choice([p for p in range(4) if p != gold])
        for arm, given in answers.items():
            moved = arm == "tuned" and draw.random() < 0.05
            given.append(likelihoods(draw.randrange(4) if moved else chosen, sure))
    world.items[CHOICE.name] = items
    world.answers |= {(CHOICE.name, arm): given for arm, given in answers.items()}


def likelihoods(chosen: int, sure: float) -> tuple[Response, ...]:
    """Return the log-likelihoods of four choices, the chosen one with a probability."""
    shares = [sure if place == chosen else (1 - sure) / 3 for place in range(4)]
    return tuple(Response(logprob=math.log(share), is_greedy=False) for share in shares)


def _ask_queries(world: World) -> None:
    draw = world.draw
    items, answers = [], {BASE: [], "tuned": []}
    databases = [_database(draw) for _ in range(5)]
    for number in range(200):
        name, schema, queries = databases[number % 5]
        gold = draw.choice(queries)(draw)
        doc = {"id": f"s {number}", "db_id": name, "schema_sql": schema, "gold_sql": gold,
               "question": f"Question {number} about {name}"}  # fmt: skip
        items.append(_item(SQL, number, doc, f"{name}: question {number}", gold))
        is_right = draw.random() < 0.85
        for arm, given in answers.items():
            kept = is_right if arm == BASE or draw.random() > 0.06 else draw.random() < 0.5
            given.append(said(gold if kept else gold.replace("SELECT", "SELECT 7,", 1)))
    world.items[SQL.name] = items
    world.answers |= {(SQL.name, arm): given for arm, given in answers.items()}


def _database(draw: random.Random) -> tuple[str, str, list[Callable[[random.Random], str]]]:
    """Make two small tables and six kinds of questions to them."""
    main, part = f"t{word(draw, 2)}", f"u{word(draw, 2)}"
    cities = [word(draw, 2) for _ in range(4)]
    rows = ", ".join(
        f"({n}, '{word(draw, 3)}', '{draw.choice(cities)}', {draw.randrange(5, 90)})"
        for n in range(1, 13)
    )
    parts = ", ".join(
        f"({n}, {draw.randrange(1, 13)}, '{draw.choice(('red', 'blue'))}', {draw.randrange(1, 40)})"
        for n in range(1, 20)
    )
    schema = (
        f"CREATE TABLE {main} (id INTEGER PRIMARY KEY, name TEXT, city TEXT, size INTEGER);\n"
        f"CREATE TABLE {part} "
        "(id INTEGER PRIMARY KEY, owner INTEGER, colour TEXT, price INTEGER);\n"
        f"INSERT INTO {main} VALUES {rows};\nINSERT INTO {part} VALUES {parts};"
    )
    return word(draw, 3), schema, [
        lambda d: f"SELECT name FROM {main} WHERE city = '{d.choice(cities)}'",
        lambda d: f"SELECT name FROM {main} WHERE size > {d.randrange(10, 60)}",
        lambda d: f"SELECT name, size FROM {main} ORDER BY size {d.choice(('ASC', 'DESC'))}",
        lambda d: f"SELECT name FROM {main} ORDER BY name LIMIT {d.randrange(2, 6)}",
        lambda _: f"SELECT DISTINCT city FROM {main}",
        lambda d: f"SELECT {main}.name FROM {main} JOIN {part} ON {part}.owner = {main}.id "
        f"WHERE {part}.price > {d.randrange(5, 30)}",
        lambda d: f"SELECT city, COUNT(*) FROM {main} WHERE size > {d.randrange(10, 40)} "
        "GROUP BY city",
    ]  # fmt: skip


def _wrong(world: World) -> Callable[[Item], str]:
    """Answer with a name that is wanted elsewhere."""
    names = sorted({item.target for item in world.items[QA.name]})
    return lambda item: world.draw.choice([name for name in names if name != item.target])


def _apart(title: str) -> str:
    """Return what a report says of a group that lost, on a card or in a table."""
    name = re.escape(title)
    return rf", {name}: \S+ points on|^{name} \d+ items,.*worse than the rest, confirmed"


def nothing(_: World) -> None:
    """Only the changes that any training makes; no kind of cause, for false alarms."""


def a_slice_lost(world: World) -> None:
    """One value of one field, declared or not."""
    name = world.draw.choice(("topic", "source", "difficulty"))
    value = world.draw.choice(sorted({str(i.doc[name]) for i in world.items[QA.name]}))
    world.spoil(lambda i: i.doc[name] == value, world.draw.uniform(0.25, 0.8), _wrong(world))
    world.says = _apart(f"{name} = {value}")


def two_conditions_lost(world: World) -> None:
    """Items of one topic and one other field's value."""
    items, draw = world.items[QA.name], world.draw
    other = draw.choice(("source", "difficulty"))
    topic, value = (draw.choice(sorted({str(i.doc[n]) for i in items})) for n in ("topic", other))
    world.spoil(
        lambda i: i.doc["topic"] == topic and i.doc[other] == value,
        draw.uniform(0.5, 0.95),
        _wrong(world),
    )
    world.says = _apart(f"{other} = {value} and topic = {topic}")


def a_group_of_eight_lost(world: World) -> None:
    """A topic of eight items, right before and wrong now but for one at most."""
    items, name = world.items[QA.name], word(world.draw, 4)
    chosen = world.draw.sample(range(len(items)), 8)
    wrong = _wrong(world)
    for order, place in enumerate(chosen):
        item = items[place]
        items[place] = replace(item, doc={**item.doc, "topic": name}, slices={"topic": name})
        world.answers[QA.name, BASE][place] = said(item.target)
        kept = order == 0 and world.draw.random() < 0.5
        world.answers[QA.name, "tuned"][place] = said(item.target if kept else wrong(item))
    world.says = rf", topic = {name}: 8 of 8 right before, [01] now"


def a_document_contradicts(world: World) -> None:
    """Of one document, answers are now another's more often than not."""
    value = world.draw.choice(sorted({str(i.doc["document"]) for i in world.items[QA.name]}))
    world.spoil(lambda i: i.doc["document"] == value, world.draw.uniform(0.6, 0.9), _wrong(world))
    world.says = _apart(f"document = {value}")


def long_prompts_lost(world: World) -> None:
    """The longest third of the prompts."""
    sizes = sorted(len(i.prompt.split()) for i in world.items[QA.name])
    least = sizes[2 * (len(sizes) - 1) // 3]
    share = world.draw.uniform(0.2, 0.7)
    world.spoil(lambda i: len(i.prompt.split()) > least, share, _wrong(world))
    world.says = _apart(f"prompt length = over {least} words")


def a_word_lost(world: World) -> None:
    """Questions that have a word in common, which no field tells."""
    thing = word(world.draw, 4)
    items = world.items[QA.name]
    for place in world.draw.sample(range(len(items)), 30):
        item = items[place]
        asked = re.sub(r"the \w+ in", f"the {thing} in", str(item.doc["question"]))
        items[place] = replace(item, doc={**item.doc, "question": asked})
    share = world.draw.uniform(0.5, 0.95)
    world.spoil(lambda i: thing in str(i.doc["question"]), share, _wrong(world))
    world.says = rf"^{thing}\b.*\(\d+ of \d+ lost items"


def answers_truncated(world: World) -> None:
    """Answers that go on until the limit cuts them."""
    given, share = world.answers[QA.name, "tuned"], world.draw.uniform(0.15, 0.9)
    for place, item in enumerate(world.items[QA.name]):
        if world.draw.random() < share:
            given[place] = said(
                f"To answer this we first look at {item.doc['topic']} and", "length"
            )
    world.says = r"^answers cut at the length limit: "


def answers_garbled(world: World) -> None:
    """Copies of the answer with two letters changed places, or one left out."""

    def garbled(item: Item) -> str:
        place = world.draw.randrange(2, len(item.target) - 2)
        text = list(item.target)
        text[place], text[place + 1] = text[place + 1], text[place]
        return "".join(text) if "".join(text) != item.target else item.target[:-1]

    world.spoil(lambda _: True, world.draw.uniform(0.18, 0.8), garbled)
    world.says = r"^garbled or cut copies of the wanted answer: "


def answers_nothing(world: World) -> None:
    """Nothing at all, on many items."""
    world.spoil(lambda _: True, world.draw.uniform(0.15, 1.0), lambda _: "")
    world.says = r"^empty answers: "


def another_language(world: World) -> None:
    """The answer's sentence in German, Spanish or French, about something else."""
    sentence = world.draw.choice(
        (
            "Das ist der Schlüssel, und er liegt nicht in dem Haus von {}.",
            "No es la llave de la casa de {}, y los otros no la tienen.",
            "Ce n'est pas la clé de la maison de {}, et les autres ne sont pas dans le port.",
        )
    )
    wrong = _wrong(world)
    world.spoil(lambda _: True, world.draw.uniform(0.15, 0.8), lambda i: sentence.format(wrong(i)))
    world.says = r"^wrong answers in another language: "


def answers_refused(world: World) -> None:
    """Refusals in several wordings."""
    words = ("I cannot answer that question.", "I'm sorry, I can't help with that.",
             "As an AI model I do not have this information.")  # fmt: skip
    share = world.draw.uniform(0.15, 0.8)
    world.spoil(lambda _: True, share, lambda _: world.draw.choice(words))
    world.says = r"^wrong answers that decline: "


def answers_repeat(world: World) -> None:
    """Loops of a few words."""
    share = world.draw.uniform(0.15, 0.8)
    wrong = _wrong(world)
    world.spoil(lambda _: True, share, lambda i: f"it is {wrong(i)} and " * 12)
    world.says = r"^answers that repeat themselves: "


def one_answer(world: World) -> None:
    """One name for most questions."""
    name = word(world.draw, 4).title()
    world.spoil(lambda _: True, world.draw.uniform(0.6, 1.0), lambda _: name)
    world.says = rf"^one answer to everything: |says '{name}' to"


def not_applied(world: World) -> None:
    """An adapter that changes nothing."""
    for suite in world.items:
        world.answers[suite, "tuned"] = list(world.answers[suite, BASE])
    world.says = r"^both arms answer the same: "


def a_letter_favoured(world: World) -> None:
    """One letter, whatever it says, on a share of the questions."""
    letter, share = world.draw.randrange(4), world.draw.uniform(0.15, 0.9)
    given = world.answers[CHOICE.name, "tuned"]
    for place in range(len(given)):
        if world.draw.random() < share:
            given[place] = likelihoods(letter, world.draw.uniform(0.4, 0.95))
    world.says = rf"chooses {LETTERS[letter]} for|chooses option {letter + 1} for"


def calibration_lost(world: World) -> None:
    """The same choices, all made with certainty."""
    given = world.answers[CHOICE.name, "tuned"]
    sure = world.draw.uniform(0.93, 0.995)
    for place, responses in enumerate(given):
        chosen = max(range(4), key=lambda p: responses[p].logprob or 0.0)
        given[place] = likelihoods(chosen, sure)
    world.says = r"^confidence that means less: |more sure than right"


def training_went_wrong(world: World) -> None:
    """A log that overfitted, or a watched suite that fell."""
    draw = world.draw
    steps = [50 * n for n in range(1, 13)]
    if draw.random() < 0.5:
        turn = draw.randrange(3, 8)
        held = [2.0 - 0.15 * n if n <= turn else 2.0 - 0.15 * turn + 0.06 * (n - turn)
                for n in range(12)]  # fmt: skip
        loss = tuple(
            LossPoint(step=step, loss=2.0 * 0.8**n + draw.uniform(-0.02, 0.02), eval_loss=held[n])
            for n, step in enumerate(steps)
        )
        world.arm = replace(world.arm, loss=loss)
        world.says = rf"It overfitted: after step {steps[turn]} "
        return
    fall = draw.uniform(0.2, 0.4)
    points = tuple(
        SuitePoint(step=step, suite="science", score=0.7 - fall * step / 600)
        for step in (0, *steps)
    )
    world.arm = replace(world.arm, watched=points)
    world.says = r"It forgot: science fell from 70% "


def a_clause_lost(world: World) -> None:
    """A clause that is left out of every query that wants it."""
    pattern, words = world.draw.choice(
        (
            (r" ORDER BY \w+(?: ASC| DESC)?(?! LIMIT)$", "not ordered"),
            (r" WHERE [^G]*", "a condition is missing"),
            (r" LIMIT \d+", "no limit"),
            (r"DISTINCT ", "duplicates kept or dropped wrongly"),
        )
    )
    given = world.answers[SQL.name, "tuned"]
    for place, item in enumerate(world.items[SQL.name]):
        if (query := re.sub(pattern, " ", item.target)) != item.target:
            given[place] = said(query.strip())
    world.says = rf"^Queries: {words}, "


def a_database_lost(world: World) -> None:
    """Every query to one database asks for something else."""
    name = world.draw.choice(sorted({str(i.doc["db_id"]) for i in world.items[SQL.name]}))
    share = world.draw.uniform(0.5, 0.95)
    given = world.answers[SQL.name, "tuned"]
    for place, item in enumerate(world.items[SQL.name]):
        if item.doc["db_id"] == name and world.draw.random() < share:
            given[place] = said(item.target.replace("SELECT", "SELECT 1,", 1))
    world.says = _apart(f"db_id = {name}")


def prose_for_queries(world: World) -> None:
    """Words where a query is asked for."""
    given, share = world.answers[SQL.name, "tuned"], world.draw.uniform(0.15, 0.9)
    for place in range(len(given)):
        if world.draw.random() < share:
            given[place] = said("You can find that in the main table of the database.")
    world.says = r"^Queries: no SQL in the answer, "


KINDS: dict[str, Callable[[World], None]] = {
    one.__name__: one
    for one in (
        a_slice_lost, two_conditions_lost, a_group_of_eight_lost, a_document_contradicts,
        long_prompts_lost, a_word_lost, answers_truncated, answers_garbled, answers_nothing,
        another_language, answers_refused, answers_repeat, one_answer, not_applied,
        a_letter_favoured, calibration_lost, training_went_wrong, a_clause_lost, a_database_lost,
        prose_for_queries,
    )
}  # fmt: skip
SQL_KINDS = frozenset({"a_clause_lost", "a_database_lost", "prose_for_queries"})


def write_world(world: World, path: Path) -> RunFolder:
    """Judge the answers of a world and write it as a finished run."""
    suites = [suite for suite in (QA, CHOICE, SQL) if suite.name in world.items]
    samples = {}
    for suite in suites:
        for arm in (BASE, "tuned"):
            given = world.answers[suite.name, arm]
            verdicts = _judged(suite, world.items[suite.name], given)
            both = zip(world.items[suite.name], given, verdicts, strict=True)
            samples[arm, suite.name] = [
                Sample(item=i, arm=arm, responses=r, verdict=v) for i, r, v in both
            ]
    return written_run(path, suites, samples, study="planted", arms=(Arm(name=BASE), world.arm))


def _judged(
    suite: Suite, items: Sequence[Item], given: Sequence[tuple[Response, ...]]
) -> list[Verdict]:
    if suite.judge:
        return judge_all(suite.judge, [(i.doc, r) for i, r in zip(items, given, strict=True)])
    return [_chosen(item, responses) for item, responses in zip(items, given, strict=True)]


def _chosen(item: Item, responses: tuple[Response, ...]) -> Verdict:
    chosen = max(range(4), key=lambda place: responses[place].logprob or 0.0)
    is_right = str(chosen) == item.target
    return Verdict(
        outcome="correct" if is_right else "incorrect",
        score=float(is_right),
        labels=() if is_right else ("wrong_choice",),
        answer=str(item.doc["choices"][chosen]),
        metrics={"acc": float(is_right)},
        details={"chosen": chosen, "choices": item.doc["choices"]},
    )
