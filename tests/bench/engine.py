"""Our engine against lm-eval's hf model: the same items, side by side, each in its own process.

Run on idle cores (about an hour for everything; ``--items 200`` for a look)::

    python tests/bench/engine.py --json engine.json
    python tests/bench/engine.py --only arc_0shot --items 200 --batch-sizes 16

Real rows come from ``../shared/data``; the model is a random Llama of about 115M parameters with a
16k BPE trained on those rows. Each figure is lm-eval's best time over the batch sizes tried divided
by ours; both get the very same lm-eval instances through the same method of lm-eval's interface.
"""

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[3] / "shared" / "data"
WORKS = (
    "arc_0shot", "arc_10shot", "arc_10shot_fixed", "spider", "four_arms", "four_arms_verified",
    "quickstart_sql",
)  # fmt: skip
REACH = {
    "arc_0shot": 3.5, "arc_10shot": 4.5, "arc_10shot_fixed": 15, "spider": 3, "four_arms": 3.5,
    "four_arms_verified": 6,
    "quickstart_sql": 6,
}  # fmt: skip
NEW_TOKENS = 64


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def spider_prompts() -> list[str]:
    """Return every Spider question after its database's schema."""
    import sqlite3

    schemas = {}
    for file in sorted((DATA / "spider" / "database").glob("*/*.sqlite")):
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
            tables = database.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")
            schemas[file.stem] = "\n".join(str(sql) for (sql,) in tables)
    return [
        f"{schemas[row['db_id']]}\n-- {row['question']}\nSELECT"
        for row in rows(DATA / "spider" / "dev.jsonl")
    ]


def build(folder: Path) -> Path:
    """Write the base and three LoRA adapters, once."""
    base = folder / "base"
    if (folder / "done").exists():
        return base
    import torch
    from peft import LoraConfig, get_peft_model
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [json.dumps(r) for r in rows(DATA / "arc_challenge" / "train.jsonl")]
    texts += [r["question"] for r in rows(DATA / "arc_challenge" / "test.jsonl")]
    trainer = trainers.BpeTrainer(vocab_size=16_000, special_tokens=["<pad>", "<s>", "</s>"])
    tokenizer.train_from_iterator(texts + spider_prompts(), trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(base)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=tokenizer.get_vocab_size(), hidden_size=576, intermediate_size=1536,
            num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3,
            max_position_embeddings=4096, bos_token_id=1, eos_token_id=2, pad_token_id=0,
            tie_word_embeddings=True,
        )
    )  # fmt: skip
    model.save_pretrained(base)
    for seed in range(3):
        torch.manual_seed(seed + 1)
        tuned = get_peft_model(model, LoraConfig(r=8, target_modules="all-linear"))
        for weights in tuned.parameters():
            if weights.requires_grad:
                weights.data += 0.02 * torch.randn_like(weights)
        tuned.save_pretrained(folder / f"adapter{seed}")
        model = tuned.unload()
    (folder / "done").touch()
    return base


def instances(work: str, items: int) -> list[Any]:
    """Return lm-eval's own requests of one kind of work."""
    from lm_eval.api.instance import Instance

    from harness.engine.task import load_task, quiet
    from harness.study import SuiteSection

    if work == "spider":
        settings = {"until": [], "max_gen_toks": NEW_TOKENS, "do_sample": False}
        return [
            Instance("generate_until", {}, (prompt, dict(settings)), 0, (work, n, 1))
            for n, prompt in enumerate(spider_prompts()[:items])
        ]
    section = SuiteSection(
        name="arc_challenge", data=str(DATA / "arc_challenge"),
        num_fewshot=10 if work == "arc_10shot" else 0,
    )  # fmt: skip
    task = load_task(section, Path())
    task.set_fewshot_seed(1234)
    with quiet():
        task.build_all_requests(limit=items)
    made = list(task.instances)
    if work == "arc_10shot_fixed":
        train = list(task.training_docs())[:10]
        block = "".join(
            f"{task.doc_to_text(d)} {task.doc_to_choice(d)[task.doc_to_target(d)]}\n\n"
            for d in train
        )
        for one in made:
            one.arguments = (block + one.arguments[0], one.arguments[1])
    return made


def model_of(side: str, base: Path, adapter: Path | None, dtype: str = "float32") -> Any:
    """Return one side's lm-eval model."""
    if side == "ours":
        from harness.engine.lm import HarnessLM

        tuned = str(adapter) if adapter else None
        return HarnessLM(str(base), adapter=tuned, dtype=dtype, device="cpu")
    from lm_eval.models.huggingface import HFLM

    return HFLM(
        pretrained=str(base), peft=str(adapter) if adapter else None, device="cpu",
        batch_size=int(side), dtype="float32",
    )  # fmt: skip


def ask(model: Any, asked: list[Any]) -> list[Any]:
    """Answer instances through lm-eval's interface."""
    return list(getattr(model, asked[0].request_type)(asked))


def measure(work: str, side: str, folder: Path, items: int) -> dict[str, Any]:
    """Do one piece of work on one side in this process; times in seconds, memory in MiB."""
    base = folder / "base"
    if work.startswith("four_arms"):
        verified = work == "four_arms_verified"
        return _four_arms(side, folder, items, "bfloat16_verified" if verified else "float32")
    if work == "quickstart_sql":
        return _quickstart_sql(side, folder / "tuned", items)
    asked = instances(work, items)
    model = model_of(side, base, None)
    wall, cpu = time.perf_counter(), time.process_time()
    found = ask(model, asked)
    result = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    if side == "ours":
        result |= floor(model, asked)
    return result | {"answers": found}


def _four_arms(side: str, folder: Path, items: int, dtype: str) -> dict[str, Any]:
    works = [instances(work, items) for work in ("arc_0shot", "spider")]
    wall, cpu = time.perf_counter(), time.process_time()
    found = []
    adapters = [None, *(folder / f"adapter{seed}" for seed in range(3))]
    shared = model_of(side, folder / "base", None, dtype) if side == "ours" else None
    for adapter in adapters:
        model = shared or model_of(side, folder / "base", adapter)
        if shared is not None and adapter is not None:
            shared.engine.attach(adapter.name, adapter)
            shared.arm = adapter.name
        found += [ask(model, asked) for asked in works]
    return {
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "answers": found,
    }


def _quickstart_sql(side: str, tuned: Path, items: int) -> dict[str, Any]:
    """Time the built-in base's SQL suite on a tuned candidate; ours has the base's answers."""
    from transformers import AutoTokenizer

    from harness import content
    from harness.engine import load_suite
    from harness.study import SuiteSection

    base = content.BUILTIN_MODELS["tiny"]
    suite = load_suite(
        SuiteSection(name="sql", limit=items), template="auto", seed=0, folder=Path(),
        engine_tokenizer=AutoTokenizer.from_pretrained(base),
    )  # fmt: skip
    model = model_of(side, base, tuned)
    drafts = {}
    if side == "ours":
        target = {item.key: item.target for item in suite.items}
        for batch in model.engine.answer("base", suite.requests):
            for request, response in batch:
                drafts[request.item, request.index] = [target[request.item], response.text or ""]
    wall, cpu = time.perf_counter(), time.process_time()
    if side == "ours":
        batches = model.engine.answer("tuned", suite.requests, drafts=drafts)
        given = {request.item: response.text for batch in batches for request, response in batch}
        found = [given[item.key] for item in suite.items]
    else:
        found = ask(model, [one for group in suite.instances for one in group])
    return {
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "answers": found,
    }


def floor(model: Any, asked: list[Any]) -> dict[str, Any]:
    """Return the processor time of the distinct tokens' products at the measured rate."""
    import torch

    from harness.engine.trie import build as trie_of

    if asked[0].request_type != "loglikelihood":
        return {}
    pairs = [model._encoder.pair(*one.args) for one in asked]
    tokens = trie_of([context + scored[:-1] for context, scored in pairs]).size
    network = model.engine.runner.model
    head = network.get_output_embeddings().weight
    weights = sum(w.numel() for w in network.parameters()) - head.numel()
    scored = len({(c, s[:n]) for c, s in pairs for n in range(len(s))})
    operations = 2 * (tokens * weights + scored * head.numel())
    left, right = torch.randn(2048, 576), torch.randn(576, 1536)
    rates = []
    for _ in range(5):
        start = time.process_time()
        for _ in range(20):
            left @ right
        rates.append(20 * 2 * 2048 * 576 * 1536 / (time.process_time() - start))
    return {"distinct_tokens": tokens, "floor_cpu_seconds": operations / max(rates)}


def differences(ours: list[Any], theirs: list[Any]) -> dict[str, Any]:
    """Compare two sides' answers one by one."""
    if isinstance(ours[0], str):
        return {"different_texts": sum(a != b for a, b in zip(ours, theirs, strict=True))}
    if isinstance(ours[0][0], list | str):
        return {}
    return {
        "largest_difference": max(abs(a[0] - b[0]) for a, b in zip(ours, theirs, strict=True)),
        "different_greedy": sum(a[1] != b[1] for a, b in zip(ours, theirs, strict=True)),
    }


def side_by_side(work: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run every side of one piece of work, each in a fresh process, and compare."""
    sides = ["ours", *map(str, options.batch_sizes)]
    random.Random(work).shuffle(sides)
    found = {side: _child(work, side, folder, options) for side in sides}
    ours = found.pop("ours")
    best = min(found, key=lambda side: found[side]["seconds"])
    row = {
        "times_faster": found[best]["seconds"] / ours["seconds"],
        "times_less_processor_time": found[best]["cpu_seconds"] / ours["cpu_seconds"],
        "reach": REACH[work],
        "best_batch_size": int(best),
        "ours": {key: value for key, value in ours.items() if key != "answers"},
        "lm_eval": {
            side: {key: value for key, value in result.items() if key != "answers"}
            for side, result in found.items()
        },
    }
    if "floor_cpu_seconds" in ours:
        row["times_the_floor"] = ours["cpu_seconds"] / ours["floor_cpu_seconds"]
    return row | differences(ours["answers"], found[best]["answers"])


def _child(work: str, side: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    command = [
        sys.executable, __file__, "--child", work, side, "--folder", str(folder),
        "--items", str(options.items),
    ]  # fmt: skip
    threads = {"OMP_NUM_THREADS": str(options.threads), "TQDM_DISABLE": "1"}
    out = folder / f"{work}.{side}.json"
    with (folder / "log.txt").open("a") as log:
        subprocess.run(
            [*command, "--json", str(out)], check=True, stderr=log, env=os.environ | threads
        )
    return json.loads(out.read_text())


def main() -> None:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=WORKS, nargs="+", default=WORKS)
    parser.add_argument("--items", type=int, default=1_000_000, help="at most so many")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the random model is kept")
    parser.add_argument("--tuned", type=Path, help="a candidate of the quickstart, for its SQL")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        result = measure(*options.child, options.folder, options.items)
        result["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        options.json.write_text(json.dumps(result))
        return
    folder = options.folder or Path(tempfile.mkdtemp(prefix="bench"))
    folder.mkdir(parents=True, exist_ok=True)
    build(folder)
    if options.tuned:
        shutil.copytree(options.tuned, folder / "tuned", dirs_exist_ok=True)
    table = {}
    for work in options.only:
        if work == "quickstart_sql" and not (folder / "tuned").is_dir():
            print("quickstart_sql needs --tuned, the adapter folder of a quickstart run")
            continue
        table[work] = side_by_side(work, folder, options)
        print(work, json.dumps(table[work], indent=2), flush=True)
    if options.json:
        options.json.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
