"""How large a report gets, how soon it opens and searches in a browser, and what it takes to build.

    python tests/bench/report_size.py [--items 5000 20000] [--candidates 3]
    python tests/bench/report_size.py --command [--items 20000] [--candidates 2]

Prompts of 90 words and answers of 60, drawn from 6,000 words with the frequencies of English
(Zipf's law); one suite, a base and the candidates. Times in the browser are medians of three.
``bound_mb`` is the entropy of the drawn words in bytes, times 4/3 for base64: no page that holds
these texts as letters can be smaller. With ``--command`` a run folder is written and ``harness
report`` does the whole: reads it, compares, writes every file.
"""

import argparse
import json
import math
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.finished_runs import written_run
from support.pages import CHROMIUM

from harness import report
from harness.analysis import analyse, pair
from harness.analysis.arm_scores import arm_score
from harness.analysis.decisions import compare_pairs, settle
from harness.analysis.run_result import result_of
from harness.records import BASE, Arm, Gate, Item, ItemKey, Response, Result, Sample, Suite, Verdict

SUITE = Suite(name="qa", metric="exact_match", kind="binary", margin=0.03, slices=("topic",))
WORDS = 6_000


class Writer:
    """Writes texts of a vocabulary whose words are as frequent as English words are."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        letters = "etaoinshrdlucmfwypvbg"
        self.words = ["".join(self.draw.choices(letters, k=2 + n % 9)) for n in range(WORDS)]
        self.weights = [1.0 / (n + 2.7) for n in range(WORDS)]
        self.up_to = list(accumulate(self.weights))

    def text(self, words: int) -> str:
        """Return a text of so many words."""
        return " ".join(self.draw.choices(self.words, cum_weights=self.up_to, k=words))


def made_run(items: int, candidates: int) -> Result:
    """Return a run of so many items and candidates."""
    writer = Writer(0)
    asked = [made_item(number, writer.text(90), writer.text(4)) for number in range(items)]
    arms = [BASE, *(f"candidate-{n}" for n in range(candidates))]
    samples = {arm: [made_sample(item, arm, writer) for item in asked] for arm in arms}
    comparisons = [
        found
        for arm in arms[1:]
        for found in settle(
            [compare_pairs(arm, SUITE, pair(samples[BASE], samples[arm], SUITE), Gate())], Gate()
        )
    ]
    analysis = analyse(comparisons)
    return result_of(
        comparisons,
        study="large",
        base_model="base",
        arms=[Arm(name=arm) for arm in arms],
        suites=[SUITE],
        gate=Gate(),
        scores=[arm_score(arm, SUITE, samples[arm]) for arm in arms],
        findings=analysis.findings,
        groups=analysis.groups,
    )


def made_item(number: int, prompt: str, target: str) -> Item:
    """Return a question of its own cluster, in one of twelve groups."""
    return Item(
        key=ItemKey("qa", "none", f"{number:064x}"[::-1], 0),
        doc_id=number,
        doc={},
        prompt=prompt,
        prompt_hash=str(number),
        target=target,
        cluster=str(number),
        slices={"topic": f"topic {number % 12}"},
    )


def made_sample(item: Item, arm: str, writer: Writer) -> Sample:
    """Return an arm's answer, right in six of ten cases."""
    is_right = writer.draw.random() < 0.6
    return Sample(
        item=item,
        arm=arm,
        responses=(Response(text=writer.text(60), finish="stop", tokens=80),),
        verdict=Verdict(
            outcome="correct" if is_right else "incorrect",
            score=float(is_right),
            labels=() if is_right else ("wrong_answer",),
            explanation="" if is_right else "another answer",
        ),
    )


def bound(items: int, candidates: int) -> float:
    """Return the least size of the texts of a page in megabytes: their words' entropy, in base64.

    Shannon's: -sum p log2 p bits for each word that is drawn.
    """
    weights = Writer(0).weights
    total = sum(weights)
    bits = -sum(w / total * math.log2(w / total) for w in weights)
    return items * (90 + 4 + 60 * (candidates + 1)) * bits / 8 * 4 / 3 / 1e6


def of_command(items: int, candidates: int) -> dict[str, Any]:
    """Write a run folder and let ``harness report`` read, compare and write it."""
    result = made_run(items, candidates)
    with tempfile.TemporaryDirectory() as name:
        _write_run(Path(name), result)
        del result
        command = [sys.executable, "-m", "harness", "report", name]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = (Path(name) / "report.html").stat().st_size
    return {
        "items": items,
        "candidates": candidates,
        "megabytes": round(size / 1e6, 1),
        "command_processor_s": round(
            used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, 1
        ),
        "command_memory_mib": used.ru_maxrss // 1024,
    }


def _write_run(path: Path, result: Result) -> None:
    """Write what a run leaves: its lock, and the samples of every arm."""
    samples = {(BASE, SUITE.name): [p.base for p in result.comparisons[0].pairs]}
    for comparison in result.comparisons:
        samples[comparison.candidate, SUITE.name] = [pair.tuned for pair in comparison.pairs]
    written_run(path, [SUITE], samples, study="large", sealed=True)


def in_browser(page_file: Path) -> tuple[float, float]:
    """Return the seconds until the list is there, and until the first search has an answer."""
    from playwright.sync_api import sync_playwright

    shown = "document.getElementById('count').textContent.includes(' of ')"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        begun = time.monotonic()
        page.goto(page_file.as_uri())
        while not page.evaluate(shown):
            time.sleep(0.005)
        opened = time.monotonic() - begun
        searched = page.evaluate(
            """async () => {
              const field = document.getElementById('by-text');
              const count = document.getElementById('count');
              const before = count.textContent, begun = performance.now();
              field.value = 'zzzq';
              field.dispatchEvent(new Event('input'));
              while (count.textContent === before) await new Promise((done) => setTimeout(done, 2));
              return (performance.now() - begun) / 1000;
            }"""
        )
        browser.close()
    return opened, searched


def measure(items: int, candidates: int) -> dict[str, Any]:
    """Build, open and search one report."""
    result = made_run(items, candidates)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        used = time.process_time()
        files = report.write(result, Path(folder))
        built = time.process_time() - used
        seen = [in_browser(files["report.html"]) for _ in range(3)]
        size = files["report.html"].stat().st_size
    return {
        "items": items,
        "candidates": candidates,
        "megabytes": round(size / 1e6, 1),
        "bound_mb": round(bound(items, candidates), 1),
        "opens_s": round(median(opened for opened, _ in seen), 2),
        "first_search_s": round(median(searched for _, searched in seen), 2),
        "built_processor_s": round(built, 1),
        "memory_beyond_the_run_mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        // 1024,
    }


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[5_000, 20_000])
    parser.add_argument("--candidates", type=int, default=3)
    parser.add_argument("--command", action="store_true", help="measure `harness report`")
    chosen = parser.parse_args()
    for items in chosen.items:
        measured = of_command if chosen.command else measure
        print(json.dumps(measured(items, chosen.candidates)), flush=True)


if __name__ == "__main__":
    main()
