"""A checkpoint that somebody else put into a run folder is read for tensors alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.tiny_models import llama
from support.trainings import run, section

from harness.errors import InfrastructureError

pytestmark = pytest.mark.model


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return (_write, (str(self.marker), "ran"))


def _write(path: str, text: str) -> None:
    Path(path).write_text(text)


class StoppedError(Exception):
    """Somebody stopped the training."""


def test_a_pickle_in_a_checkpoint_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optimizer, schedule and random state end in one sentence; the arguments are not read."""
    import torch

    from harness.training.trl import session

    monkeypatch.setattr(session, "CHECKPOINT_SECONDS", 0.0)
    base, out, marker = llama(tmp_path / "base"), tmp_path / "mine", tmp_path / "it ran"
    candidate = section(training={"max_steps": 6, "learning_rate": 0.01})

    def stop(point: Any, _: int) -> None:
        if point.step == 4:
            raise StoppedError

    def train(on_progress: Any = None) -> object:
        return run(base, out, candidate, on_progress=on_progress)

    with pytest.raises(StoppedError):
        train(stop)
    found = {file.name: file for file in tmp_path.rglob("checkpoint-*/*.pt*")}
    assert {"optimizer.pt", "scheduler.pt", "rng_state.pth"} <= set(found)
    kept = {name: file.read_bytes() for name, file in found.items()}
    for name, file in found.items():
        torch.save({"state": Bomb(marker)}, file)
        with pytest.raises(InfrastructureError, match="must hold tensors alone"):
            train()
        assert not marker.exists(), name
        file.write_bytes(kept[name])
    torch.save(Bomb(marker), next(iter(found.values())).parent / "training_args.bin")
    assert train()
    assert not marker.exists()
