"""Time multi-turn dialogues with their keys kept between turns, against asking each turn anew.

    python tests/bench/dialogues.py [--model FOLDER] [--dialogues 40] [--turns 4] [--tokens 64]
                                    [--device cuda]

The suite's own scenarios, cut or filled up to so many turns, are led through `Engine` twice: once
as a run leads them, once with every prompt read from its beginning, as by a client that sends the
whole conversation each time. Both decode in the same batches and give the same texts. Without a
model a random Llama of 9M parameters answers in float32; its answers go on to the limit. Prints
processor seconds (wall seconds on a GPU), tokens read and the ratio. Idle cores, OMP_NUM_THREADS=1.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness import content
from harness.engine import Engine
from harness.records import Answers, ItemKey, Request
from harness.suites.dialogue_turns import askable, dialogue_requests
from harness.suites.tokenize import Encoder


def scripts(count: int, turns: int) -> list[dict[str, Any]]:
    """Return dialogues of so many turns, made of the suite's own."""
    path = content.TASKS / "conversation/data/test.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    users = [turn["user"] for row in rows for turn in row["turns"]]
    made = []
    for n in range(count):
        own = [turn["user"] for turn in rows[n % len(rows)]["turns"]]
        more = [users[(n * 7 + k) % len(users)] for k in range(turns)]
        made.append({"system": rows[n % len(rows)].get("system"), "turns": [*own, *more][:turns]})
    return made


def random_llama(folder: Path) -> Path:
    """Write a Llama of 9M random parameters that uses the built-in tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(content.BUILTIN_MODELS["tiny"])
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=320, intermediate_size=864, num_hidden_layers=8,
        num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=4096,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def lead(engine: Engine, requests: Sequence[Request], *, keep: bool) -> tuple[Answers, float, int]:
    """Lead dialogues to their end; return the answers, the seconds and the tokens read."""
    import torch

    read, forward = 0, type(engine.runner).forward

    def counting(runner: Any, ids: Any, *rest: Any) -> Any:
        nonlocal read
        read += ids.shape[1]
        return forward(runner, ids, *rest)

    on_gpu = torch.cuda.is_available() and engine.runner.like.device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    type(engine.runner).forward = counting  # type: ignore[method-assign]
    known: Answers = {}
    begun = clock()
    while new := askable(requests, known):
        asked = new if keep else [replace(request, turn=None) for request in new]
        for batch in engine.answer("base", asked):
            known |= {request.key: response for request, response in batch}
    if on_gpu:
        torch.cuda.synchronize()
    type(engine.runner).forward = forward  # type: ignore[method-assign]
    return known, clock() - begun, read


def main() -> None:
    """Measure, and print one line each way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--dialogues", type=int, default=40)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64, help="most tokens of an answer")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = given.model or random_llama(Path(folder))
        engine = Engine.load(str(model), dtype="float32", device=given.device)
        encoder, requests = Encoder(engine.tokenizer), list[Request]()
        settings = {"until": [], "max_new_tokens": given.tokens}
        for number, row in enumerate(scripts(given.dialogues, given.turns)):
            key = ItemKey("conversation", "none", str(number), 0)
            requests += dialogue_requests(
                row, key, encoder, template=encoder.tokenizer, settings=settings
            )
        lead(engine, requests[: 2 * given.turns], keep=True)  # warm
        anew, slow, all_read = lead(engine, requests, keep=False)
        kept, fast, new_read = lead(engine, requests, keep=True)
    same = sum(anew[key].text == kept[key].text for key in anew)
    written = sum(response.tokens for response in kept.values())
    print(f"{given.dialogues} dialogues of {given.turns} turns, {written:,} tokens written")
    print(f"each turn anew: {slow:.1f} s, {all_read:,} tokens read")
    print(f"keys kept:      {fast:.1f} s, {new_read:,} tokens read")
    print(f"{slow / fast:.2f} times as fast; {same} of {len(anew)} texts are equal")


if __name__ == "__main__":
    main()
