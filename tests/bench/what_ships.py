"""What merging and quantizing cost the quickstart's candidate, and whether exports keep its scores.

Scores ``mixed`` of a finished quickstart merged, in 4 and in 8 bits, exports each form, and scores
the exported folders again as forms that were made elsewhere.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import yaml

from harness import study
from harness.pipeline.exported.export import export
from harness.pipeline.run import run_study
from harness.records import Result, Sample
from harness.report.forms_view import forms
from harness.store import read_samples
from harness.store.run_folder import RunFolder

CANDIDATE = "mixed"
FORMS = ("merged", "4bit", "8bit")


def scored(quickstart: Path, out: Path) -> Result:
    """Score the candidate in every form, in a copy of its run, which keeps what it has answered."""
    if not out.exists():
        shutil.copytree(quickstart, out)
    content: dict[str, Any] = yaml.safe_load((quickstart / "study.yaml").read_text())
    mine = next(one for one in content["candidates"] if one["name"] == CANDIDATE)
    content["candidates"] = [mine | {"as": list(FORMS)}]
    (out / "study.yaml").write_text(yaml.safe_dump(content))
    return run_study(study.load(out / "study.yaml"), out=out / "run")


def scored_again(out: Path) -> RunFolder:
    """Score the exported folders in a run of their own."""
    content: dict[str, Any] = yaml.safe_load((out / "study.yaml").read_text())
    content["candidates"] = [
        {"name": CANDIDATE, "adapter": f"run/adapters/{CANDIDATE}"},
        *(
            {"name": f"{CANDIDATE}-{form}", "base": f"./exported-{form}", "form_of": CANDIDATE}
            for form in FORMS
        ),
    ]
    (out / "again.yaml").write_text(yaml.safe_dump(content))
    run_study(study.load(out / "again.yaml"), out=out / "again")
    return RunFolder(out / "again")


def moved(before: list[Sample], after: list[Sample]) -> tuple[int, int, float]:
    """Count texts and scores that differ, and the largest difference of a log-likelihood."""
    texts = flips = 0
    largest = 0.0
    for one, other in zip(before, after, strict=True):
        assert one.item.key == other.item.key
        flips += one.verdict.score != other.verdict.score
        for was, now in zip(one.responses, other.responses, strict=True):
            texts += was.text != now.text
            if was.logprob is not None and now.logprob is not None:
                largest = max(largest, abs(was.logprob - now.logprob))
    return texts, flips, largest


def size(folder: Path) -> float:
    """Return the MiB of a folder's weights."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 2**20


def main() -> None:
    """Print one row for each form and suite."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("quickstart", type=Path, help="a quickstart: study.yaml, data, run")
    options.add_argument("--out", type=Path, required=True, help="a folder to work in, kept")
    given = options.parse_args()
    result = scored(given.quickstart, given.out)
    run = RunFolder(given.out / "run")
    for form in FORMS:
        shutil.rmtree(given.out / f"exported-{form}", ignore_errors=True)
        found = export(run, CANDIDATE, given.out / f"exported-{form}", form=form)
        print(f"{form}: {found.as_scored} of {found.checked} items as scored when exported")
    again = scored_again(given.out)
    print("| form | MiB | suite | adapter → form | change | interval | label | scored again: |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for view in forms(result):
        form = view.name.removeprefix(f"{CANDIDATE}-")
        mib = size(given.out / f"exported-{form}")
        for row, comparison in zip(view.rows, view.comparisons, strict=True):
            suite = comparison.suite.name
            texts, flips, largest = moved(
                read_samples(run.samples(view.name, suite)),
                read_samples(again.samples(view.name, suite)),
            )
            again_told = f"{texts} texts, {flips} scores, {largest:.1g} nats"
            print(
                f"| {form} | {mib:.1f} | {row.suite} | {row.adapter} → {row.form} | {row.change} "
                f"| {row.extent} | {row.words} | {again_told} |"
            )
    for view in forms(result):
        print(f"{view.sentence}.")


if __name__ == "__main__":
    main()
