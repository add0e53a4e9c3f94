"""API keys of the environment go to the hosts that may have them."""

import logging

import pytest

from harness.engine.remote.key_hosts import ALLOWED, check_host, key_sent
from harness.errors import StudyError
from harness.study import ArmSection

NAMED = "https://models.pull-request.example/v1/completions"


def arm(base_url: str = NAMED, backend: str = "local-completions") -> ArmSection:
    """Return an arm behind an endpoint."""
    return ArmSection(backend=backend, model_args={"model": "m", "base_url": base_url})


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a key into the environment, and say nothing of hosts."""
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-this-machine")
    monkeypatch.delenv(ALLOWED, raising=False)


def test_a_person_is_told_who_gets_the_key(caplog: pytest.LogCaptureFixture) -> None:
    """The host that a study names is named in a warning and in the run's notes; the key is not."""
    with caplog.at_level(logging.WARNING):
        check_host("tuned", arm())
    assert "OPENAI_API_KEY of this environment is sent to models.pull-request.ex" in caplog.text
    assert "a-key-of-this-machine" not in caplog.text


@pytest.mark.parametrize(
    "section",
    [
        arm("https://api.openai.com/v1/chat/completions", "local-chat-completions"),
        arm("https://api.openai.com/v1/completions", "openai-completions"),
        arm(backend="vllm"),
        ArmSection(),
    ],
)
def test_nothing_is_said_where_no_key_goes_astray(section: ArmSection) -> None:
    """The key's own service may have it, and a backend in this process sends none."""
    assert key_sent("tuned", section) is None


def test_without_a_key_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unset or empty variable is no key."""
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert key_sent("tuned", arm()) is None


def test_where_hosts_are_declared_others_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment, never the study, says who may have its keys."""
    monkeypatch.setenv(ALLOWED, "models.pull-request.example, other.example")
    check_host("tuned", arm())
    monkeypatch.setenv(ALLOWED, "mine.example")
    with pytest.raises(StudyError, match=r"HARNESS_KEY_HOSTS, mine\.example.*'tuned' is at models"):
        check_host("tuned", arm())
    with pytest.raises(StudyError, match=r"is at api\.openai\.com\.evil"):
        check_host("tuned", arm("https://api.openai.com.evil.example/v1"))
