"""A hub that cannot be reached is told of in seconds, and what was downloaded is used."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.command import harness

from harness.errors import ModelError
from harness.models import hub
from harness.study import Study


def study(**more: object) -> Study:
    """Return a study on a base of the hub."""
    plain = {"name": "x", "base": "nobody/nothing", "suites": ["arc_mini"]}
    return Study.model_validate({**plain, "candidates": [{"name": "a", "adapter": "b"}], **more})


@contextmanager
def silent_hub() -> Iterator[str]:
    """Yield the address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the tests be online, with an empty cache; what they change is put back."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(hub.sys.modules, "huggingface_hub.constants", hub)  # keep the real one
    monkeypatch.delitem(hub.sys.modules, "datasets.config", raising=False)


def test_a_hub_that_does_not_answer_is_told_in_three_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether it is silent or not there; the sentence names base, address and remedies."""
    with silent_hub() as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        begun = time.monotonic()
        with pytest.raises(ModelError, match=rf"'nobody/nothing' .* {address} does not answer"):
            hub.check_hub(study())
        assert hub.PATIENCE < 2.5
        assert time.monotonic() - begun < 10 * hub.PATIENCE
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(ModelError, match="HF_ENDPOINT"):
        hub.check_hub(study())


def test_nothing_is_asked_where_nothing_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A local base with own suites, and offline mode, need no hub."""
    monkeypatch.setattr(hub, "_answers", lambda _: pytest.fail("asked"))
    hub.check_hub(study(base="builtin:tiny"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.check_hub(study())


def test_a_downloaded_base_is_used_where_the_hub_is_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The libraries are told to stay offline, so that they do not wait either."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:2")
    kept = tmp_path / "home" / "hub" / "models--nobody--nothing" / "snapshots" / "main"
    kept.mkdir(parents=True)
    (kept / "config.json").write_text("{}")
    hub.check_hub(study())
    assert hub.os.environ["HF_HUB_OFFLINE"] == "1"


def test_plan_tells_at_once(tmp_path: Path) -> None:
    """The command ends before anything heavy is loaded, with exit code 2."""
    (tmp_path / "study.yaml").write_text(
        "name: x\nbase: nobody/nothing\ncandidates: [{name: a, adapter: b}]\nsuites: [arc_mini]\n"
    )
    env = {"HF_HUB_OFFLINE": "", "HF_ENDPOINT": "http://127.0.0.1:1", "HF_HOME": str(tmp_path)}
    done = harness("plan", "study.yaml", folder=tmp_path, env=env)
    assert done.returncode == 2
    assert "does not answer" in done.stderr
