"""vLLM behind a study: the same texts as our engine's, and one load against lm-eval's four.

In the environment that ``bash tests/bench/vllm_env.sh ENV`` makes, on two idle cores::

    python tests/bench/vllm.py --python ENV/bin/python --run QUICKSTART/run --json vllm.json
    python tests/bench/vllm.py --python ENV/bin/python --run QUICKSTART/run --only speed --items 250

The base is the built-in one, the adapters are the quickstart's ``mixed`` and ``narrow`` (and for
speed a third, ``mixed`` halved), all with wider heads (`vllm_weights`). ``equal`` runs one study
with vLLM and one without: score flips and texts that differ, by arm. ``speed`` counts whole
processes: four of ``lm_eval --model vllm``, base and three adapters one after another, against one
``harness run`` with its proofs, verdicts and report.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

ROOT = Path(__file__).parents[2]
ARMS = ("base", "mixed", "narrow")
KV_BYTES = 1_000_000_000
SUITE = "domain_qa"


def weights(run: Path, home: Path) -> dict[str, Path]:
    """Write the base, the quickstart's adapters and a third one, for vLLM's kernels."""
    from safetensors.torch import load_file, save_file
    from vllm_weights import pad_adapter, pad_base

    from harness import content

    found = {"base": pad_base(content.BUILTIN_MODELS["tiny"], home / "base")}
    for name in ("mixed", "narrow"):
        found[name] = pad_adapter(run / "adapters" / name, home / name)
    found["third"] = pad_adapter(run / "adapters" / "mixed", home / "third")
    path = found["third"] / "adapter_model.safetensors"
    halved = {k: v * (0.5 if "lora_B" in k else 1.0) for k, v in load_file(path).items()}
    save_file(halved, path, metadata={"format": "pt"})
    return found


def study(
    home: Path, found: dict[str, Path], arms: tuple[str, ...], items: int, vllm: bool
) -> Path:
    """Write a study of some adapters, with or without vLLM."""
    base: dict[str, Any] = {"model": str(found["base"]), "dtype": "float32"}
    if vllm:
        base |= {"backend": "vllm", "model_args": {"kv_cache_memory_bytes": KV_BYTES}}
    told = {
        "name": "vllm" if vllm else "ours",
        "base": base,
        "suites": [{"name": SUITE, "limit": items}],
        "candidates": [{"name": one, "adapter": str(found[one])} for one in arms if one != "base"],
        "gate": {"margin": 0.1},
        "review": {"items_per_suite": 0},
    }
    path = home / f"{told['name']}-{len(arms)}.json"
    path.write_text(json.dumps(told))
    return path


def timed(command: list[str], environment: dict[str, str], log: Path) -> float:
    """Run a process to its end; return its seconds. A verdict's exit code is no failure."""
    begun = time.monotonic()
    with log.open("a") as told:
        code = subprocess.run(command, env=environment, stdout=told, stderr=told, check=False)
    if code.returncode not in (0, 1, 4):
        sys.exit(f"{' '.join(command)} ended with {code.returncode}: see {log}")
    return time.monotonic() - begun


def samples(run: Path, arm: str) -> list[dict[str, Any]]:
    """Return the scored answers of an arm."""
    path = run / "samples" / arm / f"samples_{SUITE}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def equal(python: str, home: Path, found: dict[str, Path], items: int) -> dict[str, Any]:
    """Return by arm how many scores and texts differ between vLLM and our engine."""
    runs = {}
    for vllm in (True, False):
        path = study(home, found, ARMS, items, vllm=vllm)
        runs[vllm] = home / f"run-{path.stem}"
        command = [python, "-m", "harness", "run", str(path), "--out", str(runs[vllm])]
        timed(command, environment(), home / "equal.log")
    result: dict[str, Any] = {"items": len(samples(runs[True], "base"))}
    for arm in ARMS:
        pairs = list(zip(samples(runs[True], arm), samples(runs[False], arm), strict=True))
        scores = [[{k: v for k, v in one.items() if k in METRICS} for one in two] for two in pairs]
        result[arm] = {
            "score flips": sum(one != other for one, other in scores),
            "texts that differ": sum(one["resps"] != other["resps"] for one, other in pairs),
        }
    lock = json.loads((runs[True] / "study.lock.json").read_text())
    return result | {"notes": lock["notes"]}


METRICS = ("exact_match", "f1", "score", "acc")


def speed(python: str, home: Path, found: dict[str, Path], items: int) -> dict[str, Any]:
    """Return the seconds of four loads of lm-eval's vllm, and of one study."""
    arms = (*ARMS, "third")
    theirs = 0.0
    for arm in arms:
        arguments = f"pretrained={found['base']},dtype=float32,max_lora_rank=32"
        arguments += f",kv_cache_memory_bytes={KV_BYTES}"
        if arm != "base":
            arguments += f",lora_local_path={found[arm]}"
        command = [
            python, "-m", "lm_eval", "run", "--model", "vllm", "--model_args", arguments,
            "--tasks", SUITE, "--include_path", str(ROOT / "tasks"), "--limit", str(items),
            "--batch_size", "auto", "--apply_chat_template", "--output_path", str(home / "theirs"),
        ]  # fmt: skip
        theirs += timed(command, environment(), home / "theirs.log")
    path = study(home, found, arms, items, vllm=True)
    command = [python, "-m", "harness", "run", str(path), "--out", str(home / "run-speed")]
    ours = timed(command, environment(), home / "ours.log")
    ratio = theirs / ours
    return {"items": items, "lm-eval, four loads": theirs, "ours": ours, "ratio": ratio, "reach": 3}


def environment() -> dict[str, str]:
    """Return what both sides are started with."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", required=True, help="of the environment with vLLM")
    parser.add_argument("--run", type=Path, required=True, help="a quickstart's run folder")
    parser.add_argument("--only", nargs="*", choices=("equal", "speed"))
    parser.add_argument("--items", type=int, default=250)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="vllm-bench-"))
    print(f"in {home}", flush=True)
    found = weights(chosen.run, home)
    works = {"equal": equal, "speed": speed}
    results = {}
    for name in chosen.only or works:
        results[name] = works[name](chosen.python, home, found, chosen.items)
        print(name, json.dumps(results[name], indent=1), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
