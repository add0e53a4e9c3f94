"""Verified bf16 against float32 in one process: verdicts that differ, items asked again, time.

On the built-in base and a random adapter of it, and, with ``--folder`` where ``engine.py`` built
them, on its 115M base and adapters with ARC-Challenge and Spider::

    python tests/bench/verified.py --folder bench --json verified.json
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine import build, instances
from lm_eval.api.instance import Instance

from harness import content
from harness.engine import Engine, VerifiedEngine, load_suite
from harness.engine.lm_eval_model import _item, _request
from harness.engine.verified import calibration, probes
from harness.engine.verified.calibration import ErrorBound
from harness.engine.verified.margins import by_item, choice_margin, is_choice, margin_error
from harness.records import BASE, Request
from harness.study import SuiteSection
from harness.suites.tokenize import Encoder, generation_settings

Answers = dict[Any, Any]


def builtin_requests(tokenizer: Any, items: int) -> dict[str, list[Request]]:
    """Return what all splits of the built-in suites ask."""
    asked = {}
    for name in ("arc_mini", "sql", "domain_qa", "coherence"):
        asked[name] = [
            request
            for split in ("test", "validation")
            for request in load_suite(
                SuiteSection(name=name, split=split, limit=items), engine_tokenizer=tokenizer,
                template="auto", seed=0, folder=Path(),
            ).requests
        ]  # fmt: skip
    return asked


def real_requests(tokenizer: Any, items: int) -> dict[str, list[Request]]:
    """Return what ARC-Challenge without examples and Spider ask."""
    encoder = Encoder(tokenizer)

    def request(one: Instance, place: int) -> Request:
        if one.request_type == "loglikelihood":
            ids = encoder.pair(*one.args)
            return _request("loglikelihood", place, one.args, ids, item=_item(one))
        ids = (tuple(encoder.encode(one.args[0])), ())
        settings = generation_settings(one.args[1])
        texts = (one.args[0], "")
        return _request("generate_until", place, texts, ids, settings=settings)

    return {
        work: [request(one, place) for place, one in enumerate(instances(work, items))]
        for work in ("arc_0shot", "spider")
    }


def answer(engine: Any, arm: str, requests: list[Request]) -> tuple[Answers, float, float]:
    """Return an arm's answers, the seconds and the processor seconds they took."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = {r.key: a for batch in engine.answer(arm, requests) for r, a in batch}
    return found, time.perf_counter() - wall, time.process_time() - cpu


@contextmanager
def probe_seconds() -> Iterator[list[float]]:
    """Collect the processor seconds of probes' readings; those that write answers do not count."""
    seconds: list[float] = []
    scored = calibration.scored_answers

    def timed(engine: Engine, asked: Any) -> Any:
        begun = time.process_time()
        found = scored(engine, asked)
        first = next(request for requests in asked.values() for request in requests)
        if first.kind == "loglikelihood" or first.item.suite == "probe":
            seconds.append(time.process_time() - begun)
        return found

    calibration.scored_answers = timed
    try:
        yield seconds
    finally:
        calibration.scored_answers = scored


def verdicts(requests: list[Request], found: Answers) -> dict[Any, Any]:
    """Return what each item comes to: a text, or the choices by the three accuracies."""
    decided = {}
    for item, group in by_item(requests).items():
        responses = [found[r.key] for r in group]
        if responses[0].text is not None:
            decided[item] = [response.text for response in responses]
            continue
        texts = [r.continuation.strip() for r in group]
        decided[item] = [
            max(range(len(group)), key=lambda i, of=of: responses[i].logprob / max(1, of(texts[i])))
            for of in (lambda _: 1, len, lambda text: len(text.encode()))
        ]
    return decided


def is_choices(requests: list[Request]) -> bool:
    """Say whether every item asks for the best of several continuations."""
    return all(is_choice(group) for group in by_item(requests).values())


def beyond(requests: list[Request], float32: Answers, bf16: Answers) -> dict[str, list[int]]:
    """Draw work and probes of it; count how often an error is beyond the bound, by sizes.

    Returns:
        By "items, probe": of 1,000 draws those with such an error, and those in which an answer
        that stands could be another.
    """
    draw = random.Random(0)
    groups = by_item(requests).values()
    rows = [(choice_margin(g, bf16), margin_error(g, bf16, float32)) for g in groups]
    found = {}
    for items, probe in ((100, 8), (160, 16), (240, 24), (480, 44)):
        over = flips = 0
        for _ in range(1000 if len(rows) >= items else 0):
            some = draw.sample(rows, items)
            seen, rest = [error for _, error in some[:probe]], some[probe:]
            share = probe / probes.PROBE_CHOICES
            bound = ErrorBound.of(seen, [], calibration.CHOICE_FACTOR, share).value
            over += any(error > bound for _, error in rest)
            flips += any(error >= margin > bound for margin, error in rest)
        found[f"{items}, {probe}"] = [over, flips]
    return found


def compare(exact: Engine, arm: str, requests: list[Request]) -> dict[str, Any]:
    """Answer in float32, then in a fresh verified engine with the bf16 model loaded before."""
    verified = VerifiedEngine(exact, requests)
    verified._bf16()
    truth, wall, cpu = answer(exact, arm, requests)
    with probe_seconds() as probed:
        found, wall_verified, cpu_verified = answer(verified, arm, requests)
    raw, wall_bf16, cpu_bf16 = answer(verified._bf16(), arm, requests)
    right, kept, plain = (verdicts(requests, answers) for answers in (truth, found, raw))
    drawn = {"draws_beyond_the_bound": beyond(requests, truth, raw)} if is_choices(requests) else {}
    return drawn | {
        "items": len(right),
        "flips": sum(right[item] != kept[item] for item in right),
        "flips_of_bf16_alone": sum(right[item] != plain[item] for item in right),
        "asked_again": verified.rechecked,
        "kept": verified.accepted,
        "notes": verified.notes,
        "probe_of_float32_s_processor_time": sum(probed) / cpu,
        "times_faster": wall / wall_verified,
        "times_less_processor_time": cpu / cpu_verified,
        "bf16_alone_times_less_processor_time": cpu / cpu_bf16,
        "seconds": [wall, wall_verified, wall_bf16],
    }


def main() -> None:
    """Compare every arm on every work and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, help="where engine.py keeps the random model")
    parser.add_argument("--items", type=int, default=1_000_000, help="at most so many of each")
    parser.add_argument("--only", nargs="+", help="works, such as arc_mini or spider")
    parser.add_argument("--arms", type=int, default=2, help="the base and so many less one adapter")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for base, adapters, make in sides(options.folder, Path(scratch)):
            exact = Engine.load(str(base), device="cpu")
            asked = make(exact.tokenizer, options.items)
            arms = [BASE]
            for adapter in adapters[: options.arms - 1]:
                exact.attach(adapter.name, adapter)
                arms.append(adapter.name)
            for work in [name for name in asked if not options.only or name in options.only]:
                for arm in arms:
                    row = table[f"{work}, {arm}"] = compare(exact, arm, asked[work])
                    print(work, arm, json.dumps(row, indent=2), flush=True)
    if options.json:
        options.json.write_text(json.dumps(table, indent=2) + "\n")


def sides(folder: Path | None, scratch: Path) -> list[tuple[Path, list[Path], Any]]:
    """Return each base with its adapters and what it is asked."""
    if folder:
        base = build(folder)
        return [(base, sorted(folder.glob("adapter?")), real_requests)]
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from support.tiny_models import lora

    tiny = content.BUILTIN_MODELS["tiny"]
    return [(tiny, [lora(tiny, scratch / "tuned", r=2)], builtin_requests)]


if __name__ == "__main__":
    main()
