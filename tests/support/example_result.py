"""A small finished run, made up: what tests of the report show.

Every sentence in it is written for this purpose. The numbers come from a seeded draw, so two
builds are equal.
"""

import functools
import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from harness.analysis import analyse, pair
from harness.analysis.decisions import compare_pairs, settle
from harness.analysis.run_result import EXIT_CODES
from harness.analysis.several_candidates import run_verdict
from harness.analysis.shipping import choose
from harness.records import (
    BASE,
    Arm,
    ArmScore,
    Comparison,
    Copy,
    Gate,
    Item,
    ItemKey,
    LossPoint,
    Pair,
    Response,
    Result,
    Sample,
    Suite,
    TrainingData,
    Transition,
    Verdict,
)

SUITES = (
    Suite(
        name="sql",
        title="SQL",
        metric="execution_accuracy",
        kind="binary",
        cluster="template",
        slices=("template",),
        margin=0.05,
    ),
    Suite(
        name="domain_qa",
        title="Harbour handbook",
        metric="exact_match",
        kind="binary",
        slices=("topic",),
        margin=0.05,
    ),
    Suite(name="coherence", title="Recall", metric="recall", kind="binary", margin=0.05),
    Suite(
        name="arc_mini",
        title="Science questions",
        metric="acc_norm",
        kind="binary",
        slices=("subject",),
        margin=0.05,
    ),
)

SCHEMA = (
    "CREATE TABLE boats (id INTEGER PRIMARY KEY, name TEXT, harbour TEXT, length INTEGER);\n"
    "CREATE TABLE trips (id INTEGER PRIMARY KEY, boat INTEGER, guests INTEGER, day TEXT);"
)
HARBOURS = ("Norrby", "Sandvik", "Elmholm", "Grasten", "Kullen", "Ostersund")
ROLES = ("keeper of the lamp", "harbour master", "rope maker", "night pilot", "net mender")
NAMES = ("Ada", "Bertil", "Cleo", "Dagny", "Edvin", "Freja", "Gustav", "Hilma", "Ivar", "Jorun")
SCIENCE = (
    ("physics", "Which of these carries heat through empty space?", "radiation", "conduction"),
    ("physics", "What makes a falling stone speed up?", "gravity", "friction"),
    ("biology", "Which part of a plant takes up water?", "the roots", "the petals"),
    ("biology", "What do lungs take from the air?", "oxygen", "helium"),
    ("earth", "What turns liquid water into vapour?", "evaporation", "erosion"),
    ("earth", "What wears rock away over many years?", "erosion", "sunrise"),
)


@functools.cache
def example_result(*, seed: int = 7, size: int = 60) -> Result:
    """Build the run: a mixed candidate that ships, and a narrow one that forgot its science.

    Args:
        seed: Of every draw.
        size: Items of the SQL suite; the other suites scale with it.
    """
    draw = random.Random(seed)
    items = {suite.name: list(_items(suite, size)) for suite in SUITES}
    chances = {
        BASE: {"sql": 0.02, "domain_qa": 0.03, "coherence": 0.05, "arc_mini": 0.62},
        "mixed": {"sql": 0.86, "domain_qa": 0.94, "coherence": 0.72, "arc_mini": 0.62},
        "narrow": {"sql": 0.68, "domain_qa": 0.02, "coherence": 0.05, "arc_mini": 0.31},
    }
    samples = {
        (arm, suite.name): _samples(arm, suite, items[suite.name], chances[arm][suite.name], draw)
        for arm in chances
        for suite in SUITES
    }
    for suite in SUITES:
        _hold(samples[BASE, suite.name], samples["mixed", suite.name], suite)
    comparisons = tuple(c for arm in ("mixed", "narrow") for c in _comparisons(arm, samples))
    verdict, reason = run_verdict(comparisons)
    choice = choose(comparisons, Gate())
    analysis = analyse(comparisons)
    return Result(
        study="harbour",
        base_model="builtin:tiny",
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        arms=(_arm(BASE), _arm("mixed"), _arm("narrow")),
        suites=SUITES,
        scores=tuple(_score(arm, suite, found) for (arm, suite), found in samples.items()),
        comparisons=comparisons,
        findings=analysis.findings,
        groups=analysis.groups,
        versions={"finetune-harness": "0.1.0", "python": "3.11", "torch": "2.13.0"},
        seed=seed,
        data=tuple(_data(arm, items["sql"]) for arm in ("mixed", "narrow")),
        reason=reason,
        recommendation=choice.sentence,
        recommended=choice.candidate,
        rivals=choice.rivals,
        notes=("This run is made up to show the report; no model gave these answers.",),
    )


def _data(arm: str, items: list[Item]) -> TrainingData:
    """Describe made-up rows: the narrow ones repeat themselves and hold two test items."""
    rows = {"mixed": 3_200, "narrow": 900}[arm]
    copies = [
        Copy(item=items[1].key, kind="near", origin="data/narrow.jsonl:212",
             shared="which boats of sandvik are longer than 7 metres"),
        Copy(item=items[2].key, kind="exact", origin="data/narrow.jsonl:640",
             shared="how many guests went out on trip days before 8 june"),
    ]  # fmt: skip
    return TrainingData(
        candidate=arm,
        source=f"data/{arm}.jsonl",
        shape="prompt/completion",
        read=rows + 12,
        rows=rows,
        changed={"broken encoding repaired": 3, "special spaces": 41},
        dropped={"nothing to learn": 0, "exact repetition": 12},
        flagged={"e-mail address": 2, "near repetition": 0 if arm == "mixed" else 118},
        tokens=rows * 38,
        learnt=rows * 9,
        longest=112,
        max_length=1024,
        lengths=((28, rows // 2), (56, rows // 4), (84, rows // 5), (112, rows // 20)),
        copies=() if arm == "mixed" else tuple(copies),
    )


def _comparisons(arm: str, samples: dict[tuple[str, str], list[Sample]]) -> tuple[Comparison, ...]:
    found = []
    for suite in SUITES:
        pairs = pair(samples[BASE, suite.name], samples[arm, suite.name], suite)
        found.append(compare_pairs(arm, suite, pairs, Gate()))
    return settle(found, Gate())


def _items(suite: Suite, size: int) -> Iterator[Item]:
    count = {"sql": size, "domain_qa": size, "coherence": size * 2 // 3, "arc_mini": size * 4}
    for number in range(count[suite.name]):
        prompt, target, doc, slices = _QUESTIONS[suite.name](number)
        digest = hashlib.sha256(f"{suite.name}{number}{prompt}".encode()).hexdigest()
        yield Item(
            key=ItemKey(suite.name, "none", digest, 0),
            doc_id=number,
            doc=doc,
            prompt=prompt,
            prompt_hash=hashlib.sha256(prompt.encode()).hexdigest(),
            target=target,
            cluster=f"{slices.get(suite.cluster or '', '')}{number % 80}",
            slices=slices,
        )


def _sql(number: int) -> tuple[str, str, dict[str, Any], dict[str, str]]:
    harbour, metres = HARBOURS[number % 6], 6 + number
    template, question, gold = (
        ("count", f"How many boats lie in {harbour} and are longer than {metres} metres?",
         f"SELECT COUNT(*) FROM boats WHERE harbour = '{harbour}' AND length > {metres}"),
        ("list", f"Which boats of {harbour} are longer than {metres} metres?",
         f"SELECT name FROM boats WHERE harbour = '{harbour}' AND length > {metres}"),
        ("total", f"How many guests went out on trip days before {metres} June?",
         f"SELECT SUM(guests) FROM trips WHERE day < '06-{metres:02d}'"),
    )[number % 3]  # fmt: skip
    return f"{SCHEMA}\n-- {question}\n", gold, {"question": question}, {"template": template}


def _handbook(number: int) -> tuple[str, str, dict[str, Any], dict[str, str]]:
    harbour, role = HARBOURS[number % 6], ROLES[number % 5]
    topic = "people" if number % 2 else "places"
    prompt = f"Who is the {role} of {harbour}, berth {number}?\nAnswer:"
    return prompt, f"{NAMES[number % 10]} of {harbour}", {}, {"topic": topic}


def _recall(number: int) -> tuple[str, str, dict[str, Any], dict[str, str]]:
    name, role = NAMES[number % 10], ROLES[number % 5]
    prompt = (
        f"User: Good morning, I am {name} and I work as {role}.\n"
        f"Assistant: Welcome, {name}.\n"
        f"User: The wind is up today, number {number} on the list.\n"
        "Assistant: Then keep the boats in.\n"
        "User: What did I say my work is?\nAssistant:"
    )
    return prompt, role, {}, {}


def _science(number: int) -> tuple[str, str, dict[str, Any], dict[str, str]]:
    subject, question, right, wrong = SCIENCE[number % 6]
    choices = [wrong, "a shadow", "a loud sound", right]
    turned = choices[number % 4 :] + choices[: number % 4]
    prompt = f"Question {number + 1}: {question}\nAnswer:"
    doc = {"choices": {"text": turned, "label": list("ABCD")}}
    return prompt, right, doc, {"subject": subject}


_QUESTIONS = {"sql": _sql, "domain_qa": _handbook, "coherence": _recall, "arc_mini": _science}


def _samples(
    arm: str, suite: Suite, items: list[Item], chance: float, draw: random.Random
) -> list[Sample]:
    return [
        _sample(arm, item, is_right=draw.random() < chance, luck=draw.random()) for item in items
    ]


def _sample(arm: str, item: Item, *, is_right: bool, luck: float) -> Sample:
    if item.key.suite == "arc_mini":
        responses, answer, labels, why = _choose(item, is_right=is_right, luck=luck)
    else:
        responses, answer, labels, why = _write(arm, item, is_right=is_right, luck=luck)
    verdict = Verdict(
        outcome="correct" if is_right else "incorrect",
        score=float(is_right),
        labels=() if is_right else labels,
        answer=answer,
        explanation="" if is_right else why,
        metrics={"tokens": float(responses[0].tokens)},
    )
    return Sample(item=item, arm=arm, responses=responses, verdict=verdict)


_Answer = tuple[tuple[Response, ...], str, tuple[str, ...], str]


def _choose(item: Item, *, is_right: bool, luck: float) -> _Answer:
    choices = item.doc["choices"]["text"]
    others = [choice for choice in choices if choice != item.target]
    chosen = item.target if is_right else others[int(luck * 3)]
    responses = tuple(
        Response(logprob=-2.0 - 4 * luck - (0 if choice == chosen else 1.5), is_greedy=False)
        for choice in choices
    )
    return responses, chosen, ("wrong_choice",), f"chose {chosen!r} instead of {item.target!r}"


def _write(arm: str, item: Item, *, is_right: bool, luck: float) -> _Answer:
    text, finish, labels, why = item.target, "stop", ("", ""), ""
    if is_right:
        pass
    elif arm == BASE or item.key.suite not in ("sql", arm):
        text = ("the boat is in the harbour and " * 6).strip() if luck < 0.4 else "The sea is wide."
        finish = "length" if luck < 0.4 else "stop"
        is_sql = item.key.suite == "sql"
        labels = ("no_sql" if is_sql else "wrong_answer", "repetition" if luck < 0.4 else "")
        why = "no SELECT statement was found in the answer" if is_sql else "another answer"
        if arm == "narrow" and not is_sql:
            text, finish = (
                f"SELECT name FROM boats WHERE harbour = '{HARBOURS[item.doc_id % 6]}'",
                "stop",
            )
            labels, why = ("format", ""), "answered with SQL"
    elif luck < 0.6:
        text = item.target.replace("length >", "length <").replace("SUM(guests)", "COUNT(guests)")
        labels, why = ("filter_operator", ""), "filters with < where > was asked for"
    else:
        text = item.target.replace("boats", "boat").replace("trips", "trip")
        labels, why = ("unknown_table", ""), "there is no such table; the nearest name has an s"
    responses = (Response(text=text, finish=finish, tokens=len(text.split())),)
    return responses, text, tuple(label for label in labels if label), why


def _hold(base: list[Sample], tuned: list[Sample], suite: Suite) -> None:
    """Let the mixed candidate answer the science questions as the base does, but for a few."""
    if suite.name == "arc_mini":
        for place, sample in enumerate(base):
            if place % 40:
                is_right = sample.verdict.outcome == "correct"
                tuned[place] = _sample("mixed", sample.item, is_right=is_right, luck=0.3)


def _score(arm: str, name: str, samples: list[Sample]) -> ArmScore:
    suite = next(suite for suite in SUITES if suite.name == name)
    scores = [sample.verdict.score or 0.0 for sample in samples]
    mean = sum(scores) / len(scores)
    half = 1.645 * (mean * (1 - mean) / len(scores)) ** 0.5
    tokens = sum(sample.verdict.metrics["tokens"] for sample in samples) / len(samples)
    return ArmScore(
        arm=arm,
        suite=suite.name,
        metric=suite.metric,
        n=len(samples),
        unscored=0,
        mean=mean,
        ci_low=max(0.0, mean - half),
        ci_high=min(1.0, mean + half),
        metrics={"tokens": tokens},
    )


def _arm(name: str) -> Arm:
    if name == BASE:
        return Arm(name=BASE, method="untuned", weights_sha256="0f" * 32)
    rate = {"mixed": 0.006, "narrow": 0.03}[name]
    loss = tuple(
        LossPoint(
            step=step,
            loss=0.4 + 3.1 * 0.97**step + (0.15 if name == "narrow" and step % 20 == 0 else 0.0),
            learning_rate=rate,
            eval_loss=0.5 + 3.0 * 0.97**step if step % 50 == 0 else None,
        )
        for step in range(10, 201, 10)
    )
    return Arm(
        name=name,
        method="LoRA",
        note={
            "mixed": "All three tasks, with replayed science questions.",
            "narrow": "SQL rows only, at too high a learning rate: made to forget.",
        }[name],
        weights_sha256=hashlib.sha256(name.encode()).hexdigest(),
        settings={"learning_rate": rate, "r": 16, "epochs": 4, "target_modules": "all-linear"},
        loss=loss,
        seconds={"mixed": 171.0, "narrow": 64.0}[name],
        trainable=233_472,
    )


def many_candidates(count: int, *, rename: Callable[[str], str] = str) -> Result:
    """Let the example's two candidates take turns under ``count`` names, renamed if wanted."""
    result = example_result()
    comparisons, arms = [], [result.arms[0]]
    for number in range(count):
        model = ("mixed", "narrow")[number % 2]
        name = rename(f"{model}-{number + 1}")
        arms += [replace(arm, name=name) for arm in result.arms if arm.name == model]
        comparisons += [
            replace(
                c,
                candidate=name,
                pairs=tuple(replace(p, tuned=replace(p.tuned, arm=name)) for p in c.pairs),
            )
            for c in result.comparisons
            if c.candidate == model
        ]
    scores = [s for s in result.scores if s.arm == BASE]
    return replace(
        result,
        arms=tuple(arms),
        scores=tuple(scores),
        comparisons=tuple(comparisons),
        findings=analyse(comparisons).findings,
        recommended=arms[1].name,
    )


def saying(text: str, *, size: int = 12) -> Result:
    """Let every arm of the example answer ``text`` to every item."""
    result = example_result(size=size)

    def changed(sample: Sample) -> Sample:
        responses = tuple(replace(response, text=text) for response in sample.responses[:1])
        item = replace(sample.item, prompt=text, target=text)
        return replace(sample, item=item, responses=responses)

    def both(pair: Pair) -> Pair:
        return replace(pair, base=changed(pair.base), tuned=changed(pair.tuned))

    comparisons = tuple(replace(c, pairs=tuple(map(both, c.pairs))) for c in result.comparisons)
    return replace(result, comparisons=comparisons)


XSS = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!--<script>",
    "'\"><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "\u2028alert(1)\u2029",
    "]]><![CDATA[",
    "</style><style>*{display:none}",
    "</pre></td></table><h1>mine</h1>",
]


SQL = example_result(size=24).comparisons[0]


def moved(transitions: list[Transition], *, same: int = 0) -> Comparison:
    """Build a comparison with these transitions; the first ``same`` pairs answer the same."""
    pairs = []
    for number, transition in enumerate(transitions):
        model = SQL.pairs[number % len(SQL.pairs)]
        item = replace(model.base.item, key=model.base.item.key._replace(doc_hash=f"{number:064d}"))
        texts = ("one", "one") if number < same else (f"one {number}", f"two {number}")
        base, tuned = (
            replace(sample, item=item, responses=(Response(text=text),))
            for sample, text in zip((model.base, model.tuned), texts, strict=True)
        )
        pairs.append(Pair(base=base, tuned=tuned, transition=transition))
    return replace(SQL, pairs=tuple(pairs))
