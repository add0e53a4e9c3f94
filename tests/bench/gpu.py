"""Our engine against lm-eval's ``hf`` and ``vllm`` on a GPU, with one arm and with four.

One command, at most ten minutes, at most 24 GB, nothing downloaded::

    python tests/bench/gpu.py --json gpu.json

The model is a random Llama with the layers of an 8B one, as many as leave room for float32 and bf16
side by side, and three LoRA adapters; the tokenizer is trained here on texts that are made here:
questions with four choices (ARC's shape), and questions about a schema (text-to-SQL's). Each side
has a process of its own. ``vllm`` is asked where it is installed. Of lm-eval, which answers for one
model a run, the base and one adapter are timed; four arms are the base and three times that
adapter. In the same run verified bf16 is held against float32, verdict by verdict. Without a GPU a
tiny model on the CPU shows that the command works, in under two minutes; its times say nothing.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine import _given, _requests_of, ask, model_of
from lm_eval.api.instance import Instance
from verified import verdicts

LIMIT = 24 * 2**30
"""Bytes of GPU memory that are used at most."""

MINUTES = 10
ADAPTERS = ("adapter0", "adapter1", "adapter2")
ARMS = ("base", *ADAPTERS)
SHAPES = {
    "cuda": {"hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
             "num_key_value_heads": 8, "head_dim": 128},
    "cpu": {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
            "num_key_value_heads": 2, "num_hidden_layers": 2},
}  # fmt: skip
WORK = {"cuda": (400, 600, 64), "cpu": (260, 16, 8)}
"""By device: questions with choices, questions about schemas, new tokens of an answer to these."""

Works = dict[str, list[Instance]]
"""lm-eval's requests by the kind of work."""

_SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "il")]


def device() -> str:
    """Return ``cuda`` where there is a card, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def card(where: str) -> str:
    """Return what the figures are of."""
    from harness.models.hardware import device_of, machine_title

    return machine_title(device_of(where))


def choice_instances(count: int) -> list[Instance]:
    """Make questions of about 30 tokens, each with four choices of one to four words."""
    draw = random.Random(1)
    made = []
    for number in range(count):
        asked = f"Question: Which {_words(draw, 3)} is it that {_words(draw, 12)}?\nAnswer:"
        for place in range(4):
            pair = (asked, f" {_words(draw, 1 + draw.randrange(4))}")
            made.append(Instance("loglikelihood", {}, pair, place, ("choices", number, 1)))
    return made


def text_instances(count: int, new_tokens: int) -> list[Instance]:
    """Make questions about one of four schemas, which are ten times as long as the questions."""
    draw = random.Random(2)
    schemas = []
    for _ in range(4):
        tables = []
        for _ in range(5):
            kinds = [draw.choice(["TEXT", "INTEGER"]) for _ in range(6)]
            columns = ", ".join(f"{_words(draw, 1)} {kind}" for kind in kinds)
            tables.append(f"CREATE TABLE {_words(draw, 1)} (id INTEGER PRIMARY KEY, {columns});")
        schemas.append("\n".join(tables))
    settings = {"until": [], "max_gen_toks": new_tokens, "do_sample": False}
    return [
        Instance(
            "generate_until", {},
            (f"{schemas[n % 4]}\n-- How many {_words(draw, 6)} are there?\nSELECT", dict(settings)),
            0, ("texts", n, 1),
        )
        for n in range(count)
    ]  # fmt: skip


def _words(draw: random.Random, count: int) -> str:
    return " ".join(
        "".join(draw.choices(_SYLLABLES, k=1 + draw.randrange(3))) for _ in range(count)
    )


def build(folder: Path, where: str) -> None:
    """Write tokenizer, base and adapters, all with random weights in bf16."""
    import torch
    from peft import LoraConfig, get_peft_model
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=16_000, special_tokens=["<pad>", "<s>", "</s>"])
    made = [*choice_instances(2000), *text_instances(2000, 1)]
    tokenizer.train_from_iterator(["".join(map(str, one.args)) for one in made], trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder / "base")
    shape = {"num_hidden_layers": layers(tokenizer.get_vocab_size())} | SHAPES[where]
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(where):
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=4096, bos_token_id=1,
                eos_token_id=2, pad_token_id=0, **shape,
            )
        )  # fmt: skip
    model.save_pretrained(folder / "base")
    for name in ADAPTERS:
        tuned = get_peft_model(model, LoraConfig(r=16, target_modules="all-linear"))
        for weights in tuned.parameters():
            if weights.requires_grad:
                weights.data += 0.02 * torch.randn_like(weights)
        tuned.save_pretrained(folder / name)
        model = tuned.unload()


def layers(vocabulary: int) -> int:
    """Return how many layers of an 8B model leave a third of the memory for keys and the rest.

    Float32 and bf16 take six bytes a parameter.
    """
    shape = SHAPES["cuda"]
    width, inner = shape["hidden_size"], shape["intermediate_size"]
    heads = shape["num_key_value_heads"] / shape["num_attention_heads"]
    layer = width * (2 * width + 2 * heads * width + 3 * inner)
    return max(1, int((LIMIT * 2 / 3 / 6 - 2 * vocabulary * width) / layer))


def timed(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return what work gives, and its seconds and peak of GPU memory."""
    import torch

    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    found = work()
    if on_gpu:
        torch.cuda.synchronize()
    spent = {"seconds": time.perf_counter() - begun}
    if on_gpu:
        spent["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
    return found, spent


def lm_eval_side(side: str, folder: Path, where: str, works: Works) -> Iterator[tuple[str, Any]]:
    """Time lm-eval's model on the base and on one adapter."""
    for arm in ("base", ADAPTERS[0]):
        adapter = None if arm == "base" else folder / arm
        if side == "hf":
            model = model_of("32", folder / "base", adapter, device=where, dtype="bfloat16")
        else:
            model = vllm_of(folder / "base", adapter)
        ask(model, works["choices"][:8])  # warms up
        for work, asked in works.items():
            yield f"{work}, {arm}", timed(lambda m=model, a=asked: ask(m, a))[1]
        del model


def vllm_of(base: Path, adapter: Path | None) -> Any:
    """Return lm-eval's model of vLLM, in memory that the others have as well."""
    import torch
    from lm_eval.models.vllm_causallms import VLLM

    share = min(0.9, LIMIT / torch.cuda.get_device_properties(0).total_memory)
    return VLLM(
        pretrained=str(base), dtype="bfloat16", max_model_len=4096, batch_size="auto",
        gpu_memory_utilization=share, lora_local_path=str(adapter) if adapter else None,
    )  # fmt: skip


def our_side(folder: Path, where: str, works: Works) -> Iterator[tuple[str, Any]]:
    """Time our engine in bf16: the base alone, then the base and three adapters."""
    model = model_of("ours", folder / "base", None, device=where, dtype="bfloat16")
    ask(model, works["choices"][:8])
    for name in ADAPTERS:
        model.engine.attach(name, folder / name)
    for work, asked in works.items():
        requests = _requests_of(model, asked)
        yield f"{work}, base", timed(lambda r=requests: answered(model.engine, r, ["base"]))[1]
        yield f"{work}, four arms", timed(lambda r=requests: answered(model.engine, r, ARMS))[1]


def answered(engine: Any, requests: list[Any], arms: Sequence[str]) -> dict[str, Any]:
    """Return the answers of some arms as a run asks for them: the base's are others' drafts."""
    given = _given(engine, arms[:1], requests, {})
    texts = {key: (response.text or "",) for key, response in given[arms[0]].items()}
    drafts = {r.key: texts[r.key] for r in requests if r.kind == "generate_until"}
    return given | (_given(engine, arms[1:], requests, drafts) if arms[1:] else {})


def verified_side(folder: Path, where: str, works: Works) -> Iterator[tuple[str, Any]]:
    """Time float32, then verified bf16 on the same weights, and count where verdicts differ."""
    from harness.engine import VerifiedEngine

    model = model_of("ours", folder / "base", None, device=where, dtype="float32")
    for name in ADAPTERS:
        model.engine.attach(name, folder / name)
    for work, asked in works.items():
        requests = _requests_of(model, asked)
        truth, spent = timed(lambda r=requests: answered(model.engine, r, ARMS))
        yield f"float32 {work}, four arms", spent
        engine = VerifiedEngine(model.engine, requests)
        engine._bf16()
        found, spent = timed(lambda r=requests, e=engine: answered(e, r, ARMS))
        flips = sum(
            right != other
            for arm in ARMS
            for right, other in zip(
                verdicts(requests, truth[arm]).values(),
                verdicts(requests, found[arm]).values(),
                strict=True,
            )
        )
        told = {"flips": flips, "kept": engine.accepted, "again": engine.rechecked}
        yield f"{work}, four arms", spent | told | {"notes": engine.notes}


def side(name: str, folder: Path, where: str) -> None:
    """Do one side's work in this process, a line of JSON for each piece as soon as it is done."""
    import torch

    if name == "build":
        build(folder, where)
        return
    if where == "cuda" and name != "vllm":
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, LIMIT / total))
    choices, texts, new_tokens = WORK[where]
    works = {"choices": choice_instances(choices), "texts": text_instances(texts, new_tokens)}
    sides = {"ours": our_side, "verified": verified_side}
    run = sides.get(name)
    pieces = run(folder, where, works) if run else lm_eval_side(name, folder, where, works)
    for piece, found in pieces:
        print(json.dumps({piece: found}), flush=True)


def spawn(name: str, folder: Path, where: str, seconds: float) -> dict[str, Any]:
    """Run a side in a process of its own; return what it had done when it ended, or had to."""
    command = [sys.executable, __file__, "--side", name, "--folder", str(folder), "--device", where]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, env=environment, check=False
        )
        out, problem = done.stdout, done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except subprocess.TimeoutExpired as error:
        out = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        problem = [f"stopped after {seconds:.0f} s"]
    lines = [line for line in out.splitlines() if line.startswith('{"')]
    found = {piece: value for line in lines for piece, value in json.loads(line).items()}
    return found | ({"problem": problem[0]} if problem else {})


def show(found: dict[str, Any], where: str) -> None:
    """Print the table: seconds of each side, and lm-eval's divided by ours."""
    print(f"{card(where)}; seconds of answering, without loading")
    if where == "cpu":
        print("no GPU: a tiny model shows that the command works; these times say nothing")
    for work in ("choices", "texts"):
        ours, verified = found.get("ours", {}), found.get("verified", {})
        for arms in ("base", "four arms"):
            row = {"ours bf16": _seconds(ours, f"{work}, {arms}")}
            if arms == "four arms":
                row["verified bf16"] = _seconds(verified, f"{work}, {arms}")
                row["ours float32"] = _seconds(verified, f"float32 {work}, {arms}")
            for peer in ("hf", "vllm"):
                base = _seconds(found.get(peer, {}), f"{work}, base")
                tuned = _seconds(found.get(peer, {}), f"{work}, {ADAPTERS[0]}")
                if base is not None and (arms == "base" or tuned is not None):
                    row[peer] = base if arms == "base" else base + len(ADAPTERS) * (tuned or 0.0)
            told = [f"{name} {value:.2f}" for name, value in row.items() if value is not None]
            own = row["ours bf16"]
            told += [
                f"{peer} ÷ ours {theirs / own:.1f}"
                for peer in ("hf", "vllm")
                if own and (theirs := row.get(peer))
            ]
            print(f"{work}, {arms}: {'; '.join(told)}")
        if f"{work}, four arms" in verified:
            one = verified[f"{work}, four arms"]
            print(f"{work}: {one['flips']} verdicts of verified bf16 are not float32's; "
                  f"{one['kept']} kept, {one['again']} asked again")  # fmt: skip
    for name, one in found.items():
        peaks = [v["peak_gib"] for v in one.values() if isinstance(v, dict) and "peak_gib" in v]
        if peaks:
            print(f"{name}: at most {max(peaks):.1f} GiB")
        if "problem" in one:
            print(f"{name}: {one['problem']}")


def _seconds(side_: dict[str, Any], piece: str) -> float | None:
    return float(side_[piece]["seconds"]) if piece in side_ else None


def main() -> None:
    """Build the models, run every side, print and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--device", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side(options.side, options.folder, options.device)
        return
    end = time.monotonic() + 60 * MINUTES
    where = device()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        sides = ["build", "ours", "hf", "verified", "vllm"]
        if where == "cpu" or find_spec("vllm") is None:
            sides.remove("vllm")
        for name in sides:
            found[name] = spawn(name, Path(scratch), where, max(1.0, end - time.monotonic()))
    show(found, where)
    if options.json:
        told = {"card": card(where), "items": WORK[where], "sides": found}
        options.json.write_text(json.dumps(told, indent=2) + "\n")
    if any("problem" in one for one in found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
