"""Many adapters on one base: each costs what the one before it did, and keeps its own answers."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from support.adapter_kinds import KINDS
from support.tiny_models import adapter, answers, llama, lora, random_tree

from harness.engine import Engine
from harness.engine.adapters import switch
from harness.errors import ModelError

pytestmark = pytest.mark.model


def calls(work: Callable[[], object]) -> int:
    """Return how many functions some work calls, of Python or of C."""
    count = 0

    def counted(_frame: FrameType, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a base of one layer."""
    return llama(tmp_path_factory.mktemp("many") / "base", num_hidden_layers=1)


def test_an_adapter_costs_what_the_one_before_it_did(base: Path, tmp_path: Path) -> None:
    """Attaching adds a constant number of calls, and a constant number of modules stays."""
    folder = lora(base, tmp_path / "lora")
    engine = Engine.load(str(base), device="cpu")
    taken = [
        calls(lambda name=f"arm{n}": engine.attach(name, folder))
        for n in range(switch.MOST_INJECTED + 6)
    ]
    first, last = taken[switch.MOST_INJECTED + 1], taken[-1]
    assert last <= 1.02 * first
    modules = len(list(engine.switch.base.modules()))
    engine.attach("one more", folder)
    assert len(list(engine.switch.base.modules())) == modules


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PEFT hold two adapters at once."""
    monkeypatch.setattr(switch, "MOST_INJECTED", 2)


@pytest.mark.parametrize("kind", ["lora", "dora", "saved"])
def test_an_arm_that_was_put_aside_answers_as_before(
    base: Path, tmp_path: Path, few: None, kind: str
) -> None:
    """Alone and beside others, however many were attached since."""
    folders = [adapter(base, tmp_path / f"{kind}{n}", KINDS[kind], seed=n) for n in range(4)]
    alone = Engine.load(str(base), device="cpu")
    alone.attach("only", folders[0])
    engine = Engine.load(str(base), device="cpu")
    for number, folder in enumerate(folders):
        engine.attach(f"arm{number}", folder)
    asked = random_tree(3)
    expected = answers(alone, "only", asked)
    assert answers(engine, "arm0", asked) == expected
    assert answers(engine, "base", asked) == answers(alone, "base", asked)
    assert answers(engine, "arm3", asked) != expected
    assert answers(engine, "arm0", asked) == expected


def test_an_adapter_that_changed_on_the_disk_is_not_taken_for_itself(
    base: Path, tmp_path: Path, few: None
) -> None:
    """What was put aside is read again only where it is still what was attached."""
    folders = [adapter(base, tmp_path / f"saved{n}", KINDS["saved"], seed=n) for n in range(3)]
    engine = Engine.load(str(base), device="cpu")
    for number, folder in enumerate(folders):
        engine.attach(f"arm{number}", folder)
    shutil.copy(folders[1] / "adapter_model.safetensors", folders[0] / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="changed since it was attached"):
        answers(engine, "arm0", random_tree(3))
