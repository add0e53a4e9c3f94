"""How well do the scores of conversations agree with people?

    python tests/bench/dialogue_ratings.py [--data ../shared/data] [--measure minilm ...]

Prints JSON by measure: on Topical-Chat (USR's ratings) Spearman's correlation with the mean human
rating, per response and per system, and which share of the best-rated and of the worst-rated
quarter is called `correct`; on DailyDialog++ how often a relevant response is ranked above a random
and above an adversarial one of the same length (within one word: relevant ones are shorter, and
length alone would tell them apart; 0.5 is chance); how often a whole dialogue is above the same
turns in another order; the note's pairs that stand the wrong way round; and the processor time of
10,000 responses.
"""

import argparse
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from scipy.stats import spearmanr

from harness.rating import rate
from harness.rating.embedding import MEASURES

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
KINDS = ("positive", "random_negative", "adversarial_negative")
PAIRS = (
    ("Could you give me a ride home?", "Sure, hop in.", "I like home cooking and a bumpy ride."),
    (
        "Do you have any pets?",
        "Yes, a cat called Mia. And you?",
        "Do you have any pets, any pets at all, pets?",
    ),
    (
        "I'm allergic to nuts.",
        "Then the salad is the safest choice.",
        "Great, have some of our peanut brittle, it is full of nuts.",
    ),
)
"""A turn, the response that people prefer, and one that was scored above it."""


def rated(pairs: Sequence[tuple[Sequence[str], str]], measure: str) -> list[dict[str, Any]]:
    """Rate conversations with their responses, in order."""
    rows = [{"id": n, "context": list(c), "response": r} for n, (c, r) in enumerate(pairs)]
    return list(rate("coherence", rows, measure=measure))


def topical_chat(items: Sequence[Mapping[str, Any]], measure: str) -> dict[str, Any]:
    """Return the agreement with 360 rated responses of six systems."""
    found = rated([(_turns(item), item["system_output"]) for item in items], measure)
    scores = [row["score"] for row in found]
    human = [item["scores"]["coherence"] for item in items]
    systems = sorted({item["system_id"] for item in items})
    by_system = [
        [
            mean(v for v, i in zip(values, items, strict=True) if i["system_id"] == s)
            for s in systems
        ]
        for values in (scores, human)
    ]
    ranked = sorted(range(len(items)), key=human.__getitem__)
    quarter = len(items) // 4
    called = {
        name: mean(found[n]["verdict"] == "correct" for n in places)
        for name, places in {"worst": ranked[:quarter], "best": ranked[-quarter:]}.items()
    }
    return {
        "spearman_coherence": round(_spearman(scores, human), 3),
        "spearman_overall": round(
            _spearman(scores, [item["scores"]["overall"] for item in items]), 3
        ),
        "spearman_by_system": round(_spearman(*by_system), 3),
        "called_correct": {name: round(share, 2) for name, share in called.items()},
    }


def _turns(item: Mapping[str, Any]) -> list[str]:
    return [turn.strip() for turn in item["source"].split("\n") if turn.strip()]


def _spearman(left: Sequence[float], right: Sequence[float]) -> float:
    return float(spearmanr(left, right).statistic)


def dailydialog(items: Sequence[Mapping[str, Any]], measure: str) -> dict[str, float]:
    """Return how often a relevant response is above another kind of the same length."""
    rows = list(_responses(items))
    begin = time.process_time()
    found = rated([(items[n]["context"], text) for n, _, text in rows], measure)
    seconds = (time.process_time() - begin) / len(rows) * 10_000
    scores: dict[tuple[int, str], list[tuple[float, int]]] = defaultdict(list)
    for (number, kind, text), row in zip(rows, found, strict=True):
        scores[number, kind].append((row["score"], len(text.split())))
    report = {
        kind: round(mean(_above(scores, len(items), kind)), 3)
        for kind in ("random_negative", "adversarial_negative")
    }
    return {**report, "processor_seconds_for_10000": round(seconds, 1)}


def _responses(items: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str, str]]:
    for number, item in enumerate(items):
        for kind in KINDS:
            yield from ((number, kind, text) for text in item[f"{kind}_responses"])


def _above(
    scores: Mapping[tuple[int, str], Sequence[tuple[float, int]]], contexts: int, kind: str
) -> Iterator[float]:
    """Yield 1 for a relevant response above one of ``kind``, 0.5 for a tie; equal lengths only."""
    for number in range(contexts):
        for good, bad in product(scores[number, "positive"], scores[number, kind]):
            if abs(good[1] - bad[1]) <= 1:
                yield (good[0] > bad[0]) + 0.5 * (good[0] == bad[0])


def shuffled(dialogues: Sequence[Sequence[str]], measure: str) -> float:
    """Return how often the mean score of a dialogue's turns is above that of a shuffled twin.

    Dialogues of fewer than three different turns are left out.
    """
    dialogues = [turns for turns in dialogues if len(set(turns)) > 2]
    draw = random.Random(0)
    pairs: list[tuple[Sequence[str], str]] = []
    places: list[tuple[int, bool]] = []
    for number, turns in enumerate(dialogues):
        twin = list(turns)
        while twin == list(turns):
            draw.shuffle(twin)
        for given, real in ((turns, True), (twin, False)):
            for end in range(1, len(given)):
                pairs.append((given[:end], given[end]))
                places.append((number, real))
    scores: dict[tuple[int, bool], list[float]] = defaultdict(list)
    for place, row in zip(places, rated(pairs, measure), strict=True):
        scores[place].append(row["score"])
    return mean(
        mean(scores[number, True]) > mean(scores[number, False]) for number in range(len(dialogues))
    )


def wrong_way_round(measure: str) -> list[str]:
    """Return the turns whose worse response has the higher score."""
    found = rated([((turn,), said) for turn, *both in PAIRS for said in both], measure)
    scores = [row["score"] for row in found]
    return [turn for n, (turn, *_) in enumerate(PAIRS) if scores[2 * n] <= scores[2 * n + 1]]


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description="Scores of conversations and human judgement.")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--measure", nargs="*", default=list(MEASURES), choices=MEASURES)
    parser.add_argument("--contexts", type=int, default=1028, help="of DailyDialog++")
    given = parser.parse_args()
    topical = json.loads(
        (given.data / "topical_chat_ratings" / "topical_chat.json").read_text("utf-8")
    )
    lines = (given.data / "dailydialog_pp" / "dev.jsonl").read_text("utf-8").splitlines()
    daily = [json.loads(line) for line in lines][: given.contexts]
    whole = {
        "topical_chat": [list(turns) for turns in {tuple(_turns(item)) for item in topical}],
        "dailydialog_pp": [[*item["context"], item["positive_responses"][0]] for item in daily],
    }
    figures = {
        measure: {
            "topical_chat": topical_chat(topical, measure),
            "dailydialog_pp": dailydialog(daily, measure),
            "above_shuffled_twin": {
                name: round(shuffled(sorted(found), measure), 3) for name, found in whole.items()
            },
            "wrong_way_round": wrong_way_round(measure),
        }
        for measure in given.measure
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
