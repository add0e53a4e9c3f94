"""The whole main job on data and on a model that nobody here made.

    python tests/bench/real_data.py [--base builtin:tiny] [--base ../shared/data/models/stories260k]

Trains a small LoRA on real rows, scores base and tuned on ARC-Challenge (all 1172 test items),
PubMedQA (500), a slice of Spider with its databases, and contexts of DailyDialog++,
through ``harness run``; then runs plain lm-eval on ARC for both arms and compares item by item.
Scores may be at chance: what counts is that everything runs, is complete, and agrees.
Prints JSON. Needs the folder ``../shared/data`` beside the checkout.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from harness import content
from harness.suites.catalogue import read_config

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
SPIDER_ITEMS, DIALOGUES = 200, 200
os.environ["HF_HUB_OFFLINE"] = "1"


def write(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    """Write rows as JSONL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def lines(name: str) -> list[dict[str, Any]]:
    """Read a JSONL file of the shared data."""
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def pubmed_rows(*, test: bool) -> Iterator[dict[str, Any]]:
    """Yield PubMedQA's questions in the shape of ``domain_qa``: yes, no or maybe."""
    rows = json.loads((DATA / "pubmedqa" / "ori_pqal.json").read_text(encoding="utf-8"))
    wanted = json.loads((DATA / "pubmedqa" / "test_ground_truth.json").read_text(encoding="utf-8"))
    for key, row in rows.items():
        if (key in wanted) == test:
            question = f"{row['QUESTION']} Answer yes, no or maybe."
            answers = [row["final_decision"]]
            yield {
                "id": key,
                "question": question,
                "answers": answers,
                "document": key,
                "fact": key,
            }


def spider_schemas() -> dict[str, str]:
    """Return one line a table of every Spider database."""
    tables = json.loads((DATA / "spider" / "tables.json").read_text(encoding="utf-8"))
    schemas = {}
    for db in tables:
        columns: dict[int, list[str]] = {}
        for table, column in db["column_names_original"]:
            columns.setdefault(table, []).append(column)
        schemas[db["db_id"]] = "\n".join(
            f"Table {name} ( {' , '.join(columns.get(index, []))} )"
            for index, name in enumerate(db["table_names_original"])
        )
    return schemas


def spider_rows(every: int = 1) -> Iterator[dict[str, Any]]:
    """Yield Spider's development questions in the shape of ``sql``: all, or each N-th."""
    schemas = spider_schemas()
    for row in lines("spider/dev.jsonl")[::every]:
        yield {
            "id": str(row["index"]),
            "question": row["question"],
            "schema": schemas[row["db_id"]],
            "db_id": row["db_id"],
            "gold_sql": row["query"],
            "template": row["db_id"],
        }


def dialogue_rows() -> Iterator[dict[str, Any]]:
    """Yield DailyDialog++ contexts in the shape of ``coherence``, turns alternating."""
    for row in lines("dailydialog_pp/dev.jsonl")[:DIALOGUES]:
        turns = row["context"][-3:]
        first = len(turns) % 2  # the last turn is always the user's
        messages = [
            {"role": "user" if (index + first) % 2 else "assistant", "content": turn}
            for index, turn in enumerate(turns)
        ]
        conversation = str(row["id"])
        yield {"id": conversation, "messages": messages, "conversation": conversation}


def training_rows() -> Iterator[dict[str, Any]]:
    """Yield ARC's training split and PubMedQA's other half as prompt and completion."""
    for row in lines("arc_challenge/train.jsonl"):
        answer = row["choices"]["text"][row["choices"]["label"].index(row["answerKey"])]
        yield {"prompt": f"Question: {row['question']}\nAnswer:", "completion": f" {answer}"}
    for row in pubmed_rows(test=False):
        yield {"prompt": row["question"], "completion": f" {row['answers'][0]}"}


def write_study(folder: Path, base: str) -> Path:
    """Write the study and its data."""
    write(folder / "pubmedqa.jsonl", pubmed_rows(test=True))
    write(folder / "spider.jsonl", islice(spider_rows(every=5), SPIDER_ITEMS))
    write(folder / "dialogue.jsonl", dialogue_rows())
    write(folder / "train.jsonl", training_rows())
    study = {
        "name": "real-data",
        "base": {"model": base, "template": "none"},
        "candidates": [
            {
                "name": "arc-pubmed",
                "train": "train.jsonl",
                "settings": {"r": 8, "target_modules": "all-linear"},
                "training": {"max_steps": 60, "per_device_train_batch_size": 8,
                             "learning_rate": 2e-3, "max_length": 256},
            }
        ],
        "suites": [
            {"name": "arc_challenge", "data": str(DATA / "arc_challenge")},
            {"name": "domain_qa", "data": "pubmedqa.jsonl"},
            {"name": "sql", "data": "spider.jsonl", "databases": str(DATA / "spider" / "database")},
            {"name": "coherence", "data": "dialogue.jsonl"},
        ],
    }  # fmt: skip
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    return path


def plain_lm_eval(model: str, adapter: Path | None, out: Path) -> dict[str, dict[str, Any]]:
    """Run lm-eval's own command on ARC-Challenge; return its samples by ``doc_hash``."""
    arguments = f"pretrained={model},dtype=float32,softmax_dtype=float32"
    arguments += f",peft={adapter}" if adapter else ""
    task = read_config(content.TASKS / "arc_challenge" / "arc_challenge.yaml")
    for key in ("dataset_name", "training_split", "validation_split", "metadata"):
        del task[key]
    rows_file = str(DATA / "arc_challenge" / "test.jsonl")
    task |= {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": rows_file}}}
    out.mkdir(parents=True)
    (out / "arc_challenge.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    command = [
        sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args", arguments,
        "--tasks", "arc_challenge", "--include_path", str(out),
        "--batch_size", "16", "--device", "cpu", "--output_path", str(out), "--log_samples",
    ]  # fmt: skip
    subprocess.run(command, check=True, stdout=sys.stderr)
    file = next(out.rglob("samples_arc_challenge_*.jsonl"))
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {row["doc_hash"]: row for row in rows}


def agreement(ours: Path, theirs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Compare our samples with lm-eval's, item by item; it cuts what we leave unscored."""
    rows = [json.loads(line) for line in ours.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["score"] is not None]
    same = {
        metric: sum(float(row[metric]) == float(theirs[row["doc_hash"]][metric]) for row in rows)
        for metric in ("acc", "acc_norm")
    }
    gaps = [
        abs(float(mine[0]) - float(plain[0]))
        for row in rows
        for mine, plain in zip(
            row["filtered_resps"], theirs[row["doc_hash"]]["filtered_resps"], strict=True
        )
    ]
    return {"items": len(rows), "same": same, "largest_loglikelihood_gap": max(gaps)}


def bench(base: str, folder: Path) -> dict[str, Any]:
    """Run the study on one base and compare ARC with plain lm-eval."""
    from harness import study
    from harness.pipeline.run import run_study

    loaded = study.load(write_study(folder, base))
    begun = time.monotonic()
    result = run_study(loaded, out=folder / "run")
    seconds = time.monotonic() - begun
    run = folder / "run"
    arms = {"base": None, "arc-pubmed": run / "adapters" / "arc-pubmed"}
    return {
        "base": base,
        "wall_seconds": round(seconds, 1),
        "verdict": result.verdict,
        "scores": [
            {"arm": s.arm, "suite": s.suite, "metric": s.metric, "items": s.n,
             "unscored": s.unscored, "mean": s.mean}
            for s in result.scores
        ],
        "agreement_with_lm_eval": {
            arm: agreement(
                run / "samples" / arm / "samples_arc_challenge.jsonl",
                plain_lm_eval(loaded.model_path, adapter, folder / "lm_eval" / arm),
            )
            for arm, adapter in arms.items()
        },
    }  # fmt: skip


def main() -> None:
    """Run every base and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", action="append", help="repeat for several")
    bases = parser.parse_args().base or ["builtin:tiny", str(DATA / "models" / "stories260k")]
    if not DATA.is_dir():
        sys.exit(f"the real data must lie beside the checkout: {DATA} does not exist")
    results = []
    for base in bases:
        with tempfile.TemporaryDirectory() as folder:
            results.append(bench(base, Path(folder)))
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
