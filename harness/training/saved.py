"""The folder of a finished training: weights, tokenizer and log, written atomically."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.files import sha256_of, weights_sha256, write_text
from harness.inputs import parse_json, read_input
from harness.records import Arm, Example, LossPoint, Message, SuitePoint, TrainingCost
from harness.study import BaseSection, CandidateSection
from harness.training.config.keep import KeepRule
from harness.training.config.settings import settings_of, training_of
from harness.training.trl.reporters import SHOWN_ONLY

LOG = "training_log.json"
"""Written last into an adapter folder: a folder without it is not finished."""

_WEIGHTS = ("*.safetensors", "*.bin")


def fingerprint(
    candidate: CandidateSection,
    examples: Sequence[Example],
    *,
    model: str,
    base: BaseSection,
    seed: int,
    held_out: Sequence[Example] = (),
    keep: KeepRule | None = None,
) -> str:
    """Return a sha256 of everything that decides what a training produces.

    Method, objective, settings, training arguments, rows, seed, base weights and how they are
    loaded, and what chooses among its checkpoints; not the candidate's name or note, nor library
    versions (the log has them).
    """
    decides: dict[str, object] = {
        "method": candidate.method,
        "objective": candidate.objective,
        "settings": settings_of(candidate),
        "training": {k: v for k, v in training_of(candidate).items() if k not in SHOWN_ONLY},
        "validation": data_sha256(held_out) if held_out else candidate.validation,
        "data": data_sha256(examples),
        "model": model_sha256(model),
        "revision": base.revision,
        "dtype": base.weights_dtype,
        "quantization": base.quantization,
        "template": base.template,
        "seed": seed,
    }
    if keep is not None:
        decides["keep"] = [keep.best, dict(keep.limit), keep.items]
    return hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()


def finished(out: Path, fingerprint: str) -> Arm | None:
    """Return the arm that an earlier training left in a folder, if it is what is asked for now."""
    try:
        log = parse_json(read_input(out / LOG))
        if log["fingerprint"] != fingerprint or log["weights_sha256"] != weights_sha256(out):
            return None
        return read_arm(out)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, cut short or of another version: train again


def read_arm(out: Path) -> Arm:
    """Return the arm that a finished training left in a folder, from its log."""
    log = parse_json(read_input(out / LOG))
    objective = log.get("objective", "sft")
    shown = {} if objective == "sft" else {"objective": objective}
    return Arm(
        name=log["name"],
        method=log["method"],
        note=log["note"],
        path=str(out),
        weights_sha256=log["weights_sha256"],
        settings={**shown, **log["settings"], **log["training"]},
        loss=tuple(LossPoint(**point) for point in log["loss"]),
        seconds=log["seconds"],
        trainable=log["trainable"],
        watched=tuple(SuitePoint(**point) for point in log.get("watched", ())),
        kept_step=log.get("kept_step"),
        kept_by=tuple(log.get("kept_by", ())),
        cost=TrainingCost(
            steps=log["steps"],
            tokens=round(log["epochs"] * log["tokens"]),
            seconds=log["seconds"],
            machine=log.get("machine", ""),  # later fields than the log itself
            since=log.get("since", 0),
            peak_bytes=log.get("peak_bytes"),
        ),
        data_sha256=log.get("data_sha256", ""),
    )


def write_log(folder: Path, facts: Mapping[str, object]) -> None:
    """Write the log of a training beside its weights; `finished` reads it back."""
    log: dict[str, object] = {**facts, "weights_sha256": weights_sha256(folder)}
    log["loss"] = log.pop("loss")  # the long part last
    text = json.dumps(log, indent=1, ensure_ascii=False, default=str)
    write_text(folder / LOG, text + "\n")


def data_sha256(examples: Sequence[Example]) -> str:
    """Return a sha256 of what the rows say, in order, wherever they came from."""
    digest = hashlib.sha256()
    for example in examples:
        sides = [
            side if isinstance(side, str) else [_turn(turn) for turn in side]
            for side in (example.prompt, example.completion, example.rejected)
            if side is not None
        ]
        if example.desirable is not None or example.tools:
            sides.append([["label", example.desirable, *example.tools]])
        digest.update(json.dumps(sides, ensure_ascii=False, default=str).encode() + b"\n")
    return digest.hexdigest()


def _turn(turn: Message) -> list[object]:
    """Return what a turn says; a plain one as it always was, so that earlier hashes hold."""
    more = [dict(turn.extras), turn.learnt] if turn.extras or turn.learnt is not None else []
    return [turn.role, turn.content, *more]


def model_sha256(model: str) -> str:
    """Return a sha256 of a local model's weights, settings, words and code; a hub name as is."""
    folder = Path(model)
    if not folder.is_dir():
        return model
    patterns = (*_WEIGHTS, "*.json", "*.jinja", "*.model", "*.py", "merges.txt", "vocab.txt")
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        digest.update(bytes.fromhex(sha256_of(path)))
    return digest.hexdigest()
