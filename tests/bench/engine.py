"""Our engine against lm-eval's hf model: the same items, side by side, each in its own process.

Run on two idle cores (about 45 minutes for everything)::

    python tests/bench/engine.py --json engine.json
    python tests/bench/engine.py --only arc_0shot spider --items all
    python tests/bench/engine.py --items arc_10shot=100 four_arms=12 --batch-sizes 16
    python tests/bench/engine.py --device cuda --dtype bfloat16 --size large --items all

Real rows come from ``../shared/data``; the model is a random Llama of about 115M parameters (large:
760M) with a 16k BPE trained on those rows. Each figure is lm-eval's best time over the batch sizes
tried divided by ours; both get the very same lm-eval instances, through the same method of
lm-eval's interface where one arm is asked. ``four_arms`` and ``eight_arms`` count whole processes,
imports and loading included: one of ours, in which the base answers first and then all candidates
together, as a run does it, against four or eight of lm-eval's. Memory is the largest peak of any
process of a side.
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
    "arc_0shot", "arc_10shot", "arc_10shot_fixed", "spider", "four_arms", "eight_arms",
    "four_arms_verified", "quickstart_sql",
)  # fmt: skip
REACH = {
    "arc_0shot": 4, "arc_10shot": 4.8, "arc_10shot_fixed": 32, "spider": 3.5, "four_arms": 4.5,
    "eight_arms": 5, "four_arms_verified": 5, "quickstart_sql": 4.5,
}  # fmt: skip
NEW_TOKENS = 64
ITEMS = {
    "arc_0shot": 240, "arc_10shot": 32, "arc_10shot_fixed": 48, "spider": 240, "four_arms": 24,
    "eight_arms": 24, "four_arms_verified": 24,
}  # fmt: skip
"""How many items each work takes unless told otherwise, so that everything ends within the hour."""

ALL = 1_000_000
SIZES = {
    "small": {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
              "num_attention_heads": 9, "num_key_value_heads": 3},
    "large": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 12,
              "num_attention_heads": 32, "num_key_value_heads": 8},
}  # fmt: skip
"""Random models: 115M parameters, and 760M, which are 1.5 GB in bfloat16."""


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


def build(folder: Path, size: str) -> Path:
    """Write the base and seven LoRA adapters, once."""
    base = folder / "base"
    if (folder / "done_7").exists():
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
            vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=4096, bos_token_id=1,
            eos_token_id=2, pad_token_id=0, tie_word_embeddings=True, **SIZES[size],
        )
    )  # fmt: skip
    model.save_pretrained(base)
    for seed in range(7):
        torch.manual_seed(seed + 1)
        tuned = get_peft_model(model, LoraConfig(r=8, target_modules="all-linear"))
        for weights in tuned.parameters():
            if weights.requires_grad:
                weights.data += 0.02 * torch.randn_like(weights)
        tuned.save_pretrained(folder / f"adapter{seed}")
        model = tuned.unload()
    (folder / "done_7").touch()
    return base


def instances(work: str, items: int) -> list[Any]:
    """Return lm-eval's own requests of one kind of work."""
    from lm_eval.api.instance import Instance

    from harness.study import SuiteSection
    from harness.suites.lm_eval_task import load_task, quiet

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


def model_of(
    side: str, base: Path, adapter: Path | None, *, device: str = "cpu", dtype: str = "float32"
) -> Any:
    """Return one side's lm-eval model."""
    peft = str(adapter) if adapter else None
    if side == "ours":
        from harness.engine.lm_eval_model import HarnessLM

        return HarnessLM(str(base), adapter=peft, device=device, dtype=dtype)
    from lm_eval.models.huggingface import HFLM

    return HFLM(
        pretrained=str(base), peft=peft, device=device, dtype=dtype, batch_size=int(side)
    )  # fmt: skip


def ask(model: Any, asked: list[Any]) -> list[Any]:
    """Answer instances through lm-eval's interface."""
    return list(getattr(model, asked[0].request_type)(asked))


def measure(work: str, side: str, options: argparse.Namespace) -> dict[str, Any]:
    """Do one piece of work on one side in this process; times in seconds."""
    folder, items = options.folder, options.count
    if work in ARMS:
        verified = work == "four_arms_verified" and side == "ours"
        return _arms(work, side, options, "bfloat16_verified" if verified else options.dtype)
    if work == "quickstart_sql":
        return _quickstart_sql(side, folder / "tuned", items)
    asked = instances(work, items)
    model = model_of(side, folder / "base", None, device=options.device, dtype=options.dtype)
    wall, cpu = time.perf_counter(), time.process_time()
    found = ask(model, asked)
    result = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    if side == "ours" and options.device == "cpu":
        result |= floor(model, asked)
    return result | {"items": len({one.doc_id for one in asked}), "answers": found}


def _arms(work: str, side: str, options: argparse.Namespace, dtype: str) -> dict[str, Any]:
    """Answer ARC and Spider: with every arm on our side, with the one that is named on lm-eval's.

    No times: the parent counts the whole process.
    """
    works = [instances(one, options.count) for one in ("arc_0shot", "spider")]
    items = sum(len({one.doc_id for one in asked}) for asked in works)
    loaded = {"device": options.device, "dtype": dtype}
    if side != "ours":
        adapter = None if options.arm == "base" else options.folder / options.arm
        model = model_of(side, options.folder / "base", adapter, **loaded)
        return {"items": items, "answers": [ask(model, asked) for asked in works]}
    model = model_of(side, options.folder / "base", None, **loaded)
    for name in ARMS[work]:
        model.engine.attach(name, options.folder / name)
    asked = [_requests_of(model, one) for one in works]
    every = [request for of_work in asked for request in of_work]
    given = {"base": _given(model.engine, ["base"], every, {})["base"]}
    drafts = {r.key: (given["base"][r.key].text,) for r in asked[1]}
    given |= _given(model.engine, ARMS[work], every, drafts)
    found = []
    for name in ("base", *ARMS[work]):
        choices, texts = ([given[name][r.key] for r in of_work] for of_work in asked)
        found += [[(c.logprob, c.is_greedy) for c in choices], [t.text for t in texts]]
    return {"items": items, "answers": found}


ARMS = {
    "four_arms": ("adapter0", "adapter1", "adapter2"),
    "four_arms_verified": ("adapter0", "adapter1", "adapter2"),
    "eight_arms": tuple(f"adapter{number}" for number in range(7)),
}
"""The candidates of each work that has several."""


def _requests_of(model: Any, asked: list[Any]) -> list[Any]:
    """Return lm-eval's instances as the engine's requests."""
    from harness.engine.lm_eval_model import _item, _request
    from harness.suites.tokenize import generation_settings

    made = []
    for index, one in enumerate(asked):
        if one.request_type == "loglikelihood":
            ids = model._encoder.pair(*one.args)
            made.append(_request("loglikelihood", index, one.args, ids, item=_item(one)))
        else:
            ids = (tuple(model._encoder.encode(one.args[0])), ())
            settings = generation_settings(one.args[1])
            texts = (one.args[0], "")
            made.append(_request("generate_until", index, texts, ids, settings=settings))
    return made


def _given(engine: Any, arms: Any, requests: list[Any], drafts: Any) -> dict[str, Any]:
    """Return the answers of some arms, asked at once."""
    found: dict[str, Any] = {arm: {} for arm in arms}
    asked, drafted = dict.fromkeys(arms, requests), dict.fromkeys(arms, drafts)
    for batch in engine.answer_arms(asked, drafts=drafted):
        for arm, request, response in batch:
            found[arm][request.key] = response
    return found


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
                drafts[request.key] = [target[request.item], response.text or ""]
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
        "items": len(suite.items),
        "answers": found,
    }


def floor(model: Any, asked: list[Any]) -> dict[str, Any]:
    """Return the processor time of the distinct tokens' products at the measured rate."""
    import torch

    from harness.engine.prefix.trie import build_trie

    if asked[0].request_type != "loglikelihood":
        return {}
    pairs = [model._encoder.pair(*one.args) for one in asked]
    tokens = build_trie([context + scored[:-1] for context, scored in pairs]).num_tokens
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
    if isinstance(ours[0][0], list | str):  # several works, of several arms
        total: dict[str, Any] = {}
        for both in zip(ours, theirs, strict=True):
            for name, value in differences(*both).items():
                join = max if name == "largest_difference" else sum
                total[name] = join((total.get(name, 0), value))
        return total
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
        "items": ours["items"],
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
    """Do one side's work in a process of its own; several arms of lm-eval's are one each."""
    if work in ARMS and side != "ours":
        runs = [_process(work, side, folder, options, arm) for arm in ("base", *ARMS[work])]
        return {
            "items": runs[0]["items"],
            "answers": [answers for run in runs for answers in run["answers"]],
            **{name: sum(run[name] for run in runs) for name in ("seconds", "cpu_seconds")},
            **{name: max(run[name] for run in runs) for name in runs[0] if "peak" in name},
        }
    return _process(work, side, folder, options, "base")


def _process(
    work: str, side: str, folder: Path, options: argparse.Namespace, arm: str
) -> dict[str, Any]:
    out = folder / f"{work}.{side}.json"
    command = [
        sys.executable, __file__, "--child", work, side, "--folder", str(folder), "--arm", arm,
        "--count", str(_count(work, options.items)), "--json", str(out),
        "--device", options.device, "--dtype", options.dtype,
    ]  # fmt: skip
    threads = {"OMP_NUM_THREADS": str(options.threads), "TQDM_DISABLE": "1"}
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with (folder / "log.txt").open("a") as log:
        subprocess.run(command, check=True, stderr=log, env=os.environ | threads)
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": wall, "cpu_seconds": cpu} | json.loads(out.read_text())


def _count(work: str, asked: list[str]) -> int:
    """Read ``--items``: a number for everything, ``all``, or ``work=number`` for some."""
    chosen = dict(one.split("=") for one in asked if "=" in one)
    every = next((one for one in asked if "=" not in one), str(ITEMS.get(work, ALL)))
    number = chosen.get(work, every)
    return ALL if number == "all" else int(number)


def _memory() -> dict[str, float]:
    """Return this process's peak memory in MiB, and the GPU's where there is one."""
    import torch

    peak = {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if torch.cuda.is_available():
        peak["peak_gpu_mib"] = torch.cuda.max_memory_allocated() / 2**20
    return peak


def main() -> None:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=WORKS, nargs="+", default=WORKS)
    parser.add_argument("--items", nargs="+", default=[], help="N, all, or WORK=N")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[8, 16, 32])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--folder", type=Path, help="where the random model is kept")
    parser.add_argument("--tuned", type=Path, help="a candidate of the quickstart, for its SQL")
    parser.add_argument("--json", type=Path)
    for hidden, kind in (("--arm", str), ("--count", int)):
        parser.add_argument(hidden, type=kind, help=argparse.SUPPRESS)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        result = measure(*options.child, options)
        options.json.write_text(json.dumps(result | _memory()))
        return
    folder = options.folder or Path(tempfile.mkdtemp(prefix="bench"))
    folder = folder if options.size == "small" else folder / options.size
    folder.mkdir(parents=True, exist_ok=True)
    build(folder, options.size)
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
