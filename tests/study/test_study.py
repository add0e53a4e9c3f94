"""The study file: what is accepted, and one clear sentence for what is not."""

import json
from pathlib import Path

import pytest

from harness import content, study
from harness.errors import StudyError

GOOD = """\
name: mine
base: builtin:tiny
candidates:
  - {name: first, train: rows.jsonl}
  - {name: second, adapter: adapters/second}
suites: [arc_mini, {name: sql, margin: 0.05, limit: 20}]
"""


def load(tmp_path: Path, text: str) -> study.Study:
    """Write a study file and read it."""
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return study.load(path)


def refused(tmp_path: Path, text: str) -> str:
    """Return the sentence with which a study file is refused."""
    with pytest.raises(StudyError) as caught:
        load(tmp_path, text)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 2
    return message


def test_a_suite_may_be_a_name_or_a_section(tmp_path: Path) -> None:
    """The short and the long form of a suite mean the same."""
    loaded = load(tmp_path, GOOD)
    assert [suite.name for suite in loaded.suites] == ["arc_mini", "sql"]
    assert loaded.suites[1].margin == 0.05


def test_paths_belong_to_the_study_file(tmp_path: Path) -> None:
    """A relative path is looked for beside the study, wherever the command runs."""
    assert load(tmp_path, GOOD).path("rows.jsonl") == tmp_path.resolve() / "rows.jsonl"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("suites:", "suite:"), "did you mean 'suites'?"),
        (("margin: 0.05", "margn: 0.05"), "did you mean 'margin'?"),
        (("margin: 0.05", "margin: 5"), "share of the scale: 0.05 is five points; found 5"),
        (("margin: 0.05", "margin: 5%"), "share of the scale: 0.05 is five points; found 5%"),
        (("margin: 0.05", "margin: 0"), "greater than or equal to 0.000001: found 0"),
        (("name: mine\n", ""), "a study needs 'name'"),
        (("train: rows.jsonl", "note: none"), "needs either 'train'"),
        (("name: second", "name: first"), "'first' is used twice"),
        (("name: second", "name: base"), "cannot be called 'base'"),
        (("name: first", "name: first, seeds: [1]"), "two different whole numbers: found [1]"),
        (
            ("name: first", "name: first, seeds: [1, 1]"),
            "different whole numbers: found [1, 1]",
        ),
        (("name: second", "name: second, seeds: [1, 2]"), "remove them, or 'adapter'"),
        (
            ("{name: first,", "{name: a-seed1, train: b}\n  - {name: a, seeds: [1, 2],"),
            "'a-seed1' is used twice",
        ),
        (("candidates:", "candidates: ["), "must be YAML"),
        (
            ("suites:", "base: ./other\nsuites:"),
            "line 6: a key may stand once: 'base' is in line 2 already",
        ),
        (("margin: 0.05,", "margin: 0.05, margin: 0.5,"), "'margin' is in line 6 already"),
        (("name: first", "name: ../../etc"), "candidates.0.name"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(
    tmp_path: Path, change: tuple[str, str], expected: str
) -> None:
    """One sentence with the rule, what was found and the nearest known name."""
    assert expected in refused(tmp_path, GOOD.replace(*change))


def test_merged_keys_may_be_set_anew(tmp_path: Path) -> None:
    """What ``<<`` brings in is no second writing of a key."""
    text = GOOD.replace("{name: first, train: rows.jsonl}", "&a {name: first, train: rows.jsonl}")
    loaded = load(tmp_path, text.replace("{name: second, adapter:", "{<<: *a, name: third, train:"))
    assert [one.name for one in loaded.candidates] == ["first", "third"]


IDLE = {
    "method": "ia3",
    "objective": "dpo",
    "settings": "{r: 8}",
    "training": "{max_steps: 3}",
    "sweep": "{settings.r: [4, 8]}",
    "validation": "0.2",
    "eval_suites": "{sql: 5}",
    "keep": "{best: sql}",
    "seeds": "[1, 2]",
}
"""Keys of a training -> a value that one may take."""


@pytest.mark.parametrize("key", IDLE)
def test_a_key_of_a_training_is_refused_where_nothing_is_trained(tmp_path: Path, key: str) -> None:
    """An adapter that exists, and an endpoint, take nothing that only a training could use."""
    elsewhere = "backend: local-completions"
    for origin in ("adapter: adapters/second", elsewhere):
        text = GOOD.replace("adapter: adapters/second", f"{origin}, {key}: {IDLE[key]}")
        assert key in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("seed: 2026-11-28", "seed: Input should be a valid integer"),
        ("seed: !!int abc", "line 7: 'abc' cannot be read as int"),
        (f"seed: {'9' * 5_000}", "line 7"),
        ("seed: !!timestamp x", "'x' cannot be read as timestamp"),
        ("seed: !!bool x", "'x' cannot be read as bool"),
        (f"x: {'[' * 50_000}", "nested more than 40 levels"),
        (f"x: {'[' * 60}{']' * 60}", "nested more than 40 levels"),
        ("x: &a [*a]", "nested more than 40 levels"),
        ("x: !!set {a: }", "a text, a number, a list or a mapping"),
        ("x: !!binary aGk=", "a text, a number, a list or a mapping"),
        ("gate: {max_unscored: .nan}", "a number must be finite"),
        ("2026-11-28: x", "a key must be a text"),
        ('x: "a\\0b"', "NUL"),
        ("gate: {margin: 1.0e-320}", "greater than or equal to 0.000001"),
        ("gate: {alpha: 1.0e-320}", "greater than or equal to 0.000001"),
        ("gate: {alpha: 0.7}", "less than 0.5"),
        ("data: {languages: x}", "languages"),
        ("? [a]\n: b", "line 7"),
    ],
)
def test_what_yaml_can_write_and_a_study_not_is_one_sentence(
    tmp_path: Path, line: str, expected: str
) -> None:
    """Tags, dates, endless numbers and nesting, and what is no number end in no traceback."""
    assert expected in refused(tmp_path, GOOD + line + "\n")


def test_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    """A file of ten lines cannot become a billion values."""
    bomb = "x0: &x0 [a, a, a, a, a, a, a, a, a]\n" + "".join(
        f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 10)
    )
    assert "more than 100,000 values" in refused(tmp_path, GOOD + bomb)


@pytest.mark.parametrize("key", ["adapter", "train"])
def test_an_empty_path_is_not_the_study_s_folder(tmp_path: Path, key: str) -> None:
    """An empty text where something has to be named is a mistake."""
    text = GOOD.replace("adapter: adapters/second", f"{key}: ''")
    assert f"'{key}' is empty" in refused(tmp_path, text)


def test_the_home_of_nobody_is_a_path_like_any_other(tmp_path: Path) -> None:
    """``~name`` of an unknown user is a path that does not exist, not an error of its own."""
    loaded = load(tmp_path, GOOD)
    assert loaded.path("~nobody-knows-me/x") == tmp_path / "~nobody-knows-me" / "x"


def test_a_missing_file_points_to_init(tmp_path: Path) -> None:
    """Whoever has no study yet is told how to get one."""
    with pytest.raises(StudyError, match="harness init"):
        study.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("model", "expected"),
    [("builtin:tny", "did you mean 'tiny'?"), ("./no-such-folder", "is no folder")],
)
def test_an_unknown_base_is_refused(tmp_path: Path, model: str, expected: str) -> None:
    """A built-in name or a local path that does not exist never goes to the hub."""
    with pytest.raises(StudyError) as caught:
        study.resolve_model(model, tmp_path)
    assert expected in str(caught.value)


def test_a_hub_name_stays_a_hub_name(tmp_path: Path) -> None:
    """What is neither built in nor local is left to transformers."""
    assert study.resolve_model("org/model", tmp_path) == "org/model"
    built_in = study.resolve_model("builtin:tiny", tmp_path)
    assert built_in == str(content.BUILTIN_MODELS["tiny"])


def test_every_key_says_what_it_is_for() -> None:
    """Editors show it, and the reference of the study file is made of it."""
    schema = study.json_schema()
    sections = {"": schema, **schema.pop("$defs")}
    silent = [
        f"{section}.{key}"
        for section, found in sections.items()
        for key, value in found.get("properties", {}).items()
        if not value.get("description")
    ]
    assert not silent


def test_the_schema_knows_every_key() -> None:
    """Editors complete the same keys that the loader accepts."""
    schema = study.json_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(study.Study.model_fields) - {"folder"}
    json.dumps(schema)
