"""Secrets are refused wherever a study could hold one, and never said."""

from pathlib import Path

import pytest
import yaml

from harness import study
from harness.errors import DataError, HarnessError, StudyError
from harness.secrets import fill_in, redact

HUB_TOKEN = "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZ"
SERVICE_KEY = "sk-" + "proj-4f7Gh2Kl9Qw3Er5Ty7Ui"
ADDRESS = "https://models.example.org/v1/completions"


def base_of(**model_args: object) -> dict[str, object]:
    """Return a base behind an endpoint."""
    return {"backend": "local-completions", "model_args": {"model": "m", **model_args}}


def read(folder: Path, **changes: object) -> study.Study:
    """Read a study with some sections changed."""
    plain = {
        "name": "s",
        "base": "org/model",
        "candidates": [{"name": "a", "train": "rows.jsonl"}],
        "suites": ["arc_mini"],
    }
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(plain | changes))
    return study.load(file)


def trained_from(**changes: object) -> list[dict[str, object]]:
    """Return one candidate with changes."""
    return [{"name": "a", "train": "rows.jsonl"} | changes]


def asked(url: str) -> list[dict[str, object]]:
    """Return a candidate that is trained from a database."""
    return trained_from(train={"url": url, "query": "SELECT 1"})


REFUSED: dict[str, dict[str, object]] = {
    "api-key in base_url": {"base": base_of(base_url=f"{ADDRESS}?api-key=Xq7w")},
    "api_key in base_url": {"base": base_of(base_url=f"{ADDRESS}?v=1&api_key=Xq7w")},
    "subscription-key": {"base": base_of(base_url=f"{ADDRESS}?subscription-key=Xq7w")},
    "code of a function": {"base": base_of(base_url=f"{ADDRESS}?code=Xq7w")},
    "shared access": {"base": base_of(base_url=f"{ADDRESS}?sv=2024&sig=Xq7w")},
    "access_token": {"base": base_of(base_url=f"{ADDRESS}?access_token=Xq7w")},
    "user and password": {"base": base_of(base_url="https://me:Xq7w@example.org/v1")},
    "user alone": {"base": base_of(base_url="https://Xq7w@example.org/v1")},
    "argument": {"base": base_of(base_url=ADDRESS, api_key="Xq7w")},
    "argument with a sign": {"base": base_of(base_url=ADDRESS, **{"x-api-key": "Xq7w"})},
    "headers": {"base": base_of(base_url=ADDRESS, header={"Authorization": "Bearer Xq7w"})},
    "nested": {"base": base_of(base_url=ADDRESS, tokenizer_kwargs={"token": "Xq7w"})},
    "hub token as an argument": {"base": base_of(pretrained="m", hub_token="Xq7w")},
    "shape of a hub token": {"base": base_of(base_url=ADDRESS, user=HUB_TOKEN)},
    "shape of a service's key": {"base": base_of(base_url=ADDRESS, user=SERVICE_KEY)},
    "shape in a note": {"candidates": trained_from(note=f"use {SERVICE_KEY} for it")},
    "hub token of a training": {"candidates": trained_from(training={"hub_token": "Xq7w"})},
    "database: password": {"candidates": asked("postgresql://me:Xq7w@host/db")},
    "database: with a dollar": {"candidates": asked("postgresql://me:$Xq7w@host/db")},
    "database: with a slash": {"candidates": asked("postgresql://me:pa/Xq7w@host/db")},
    "database: part of it": {"candidates": asked("postgresql://me:${PW}x@host/db")},
    "database: in the query": {"candidates": asked("postgresql://me@host/db?password=Xq7w")},
    "database: encoded": {"candidates": asked("postgresql://me:%24Xq7w@host/db")},
    "validation": {
        "candidates": trained_from(
            validation={"url": "mysql://me:Xq7w@host/db", "query": "SELECT 1"}
        )
    },
}


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_a_secret_in_a_study_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    """Whatever form it has, it is named by where it stands, and itself not said."""
    with pytest.raises(StudyError, match=r"holds no (keys|passwords)") as refused:
        read(tmp_path, **changes)
    for secret in ("Xq7w", HUB_TOKEN, SERVICE_KEY):
        assert secret not in str(refused.value)


def served(**model_args: object) -> dict[str, object]:
    """Return a candidate behind an endpoint."""
    return {"candidates": [{"name": "a", **base_of(**model_args)}]}


@pytest.mark.parametrize(
    "changes",
    [
        served(base_url=f"{ADDRESS}?api-version=2024-10-01", max_tokens=5),
        served(base_url=ADDRESS, tokenizer="org/t", eos_string="</s>"),
        {"candidates": asked("postgresql://me:${PW}@host:5432/db?sslmode=require&sslkey=k.pem")},
        {"candidates": asked("postgresql://me@host/db?password=${PW}")},
        {"candidates": asked("sqlite:///data/support.db")},
        {"candidates": trained_from(train="data/sk-learn-documentation-corpus.jsonl")},
        {"candidates": trained_from(training={"eval_strategy": "no"}, note="token by token")},
    ],
)
def test_what_is_no_secret_is_let_through(tmp_path: Path, changes: dict[str, object]) -> None:
    """Names and words that only resemble a secret's are no reason to refuse a study."""
    assert read(tmp_path, **changes).name == "s"


def test_what_was_filled_in_is_never_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error shows the variable's name in the value's place, also where it was encoded."""
    monkeypatch.setenv("A_PW", "hunter two/3")
    monkeypatch.setenv("B_PW", "e7")
    assert fill_in("me:${A_PW}${B_PW}@host") == "me:hunter two/3e7@host"
    said = str(HarnessError("no user 'hunter two/3' at hunter%20two%2F3, nor e7 in the18e7th"))
    assert said == "no user '${A_PW}' at ${A_PW}, nor ${B_PW} in the18e7th"


def test_keys_of_the_environment_are_never_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is called a key there is taken out of every text, used or not."""
    monkeypatch.setenv("SOME_SERVICE_TOKEN", "not-to-be-said")
    assert redact("Bearer not-to-be-said") == "Bearer ${SOME_SERVICE_TOKEN}"


def test_a_database_that_fails_tells_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any character may stand in a password, and no part of it reaches the error."""
    from harness.ingest.sources import rows_of

    pytest.importorskip("sqlalchemy")
    monkeypatch.setenv("THE_PW", "p@ss/word:1")
    url = f"sqlite:///{tmp_path}/${{THE_PW}}.db"
    with pytest.raises(DataError, match="no database") as refused:
        list(rows_of(study.Query(url=url, query="SELECT 1"), tmp_path))
    assert "ss/word" not in str(refused.value)
    assert "${THE_PW}" in str(refused.value)
