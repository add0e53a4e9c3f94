"""What programs read: gate.json, junit.xml, and how all files are put on disk."""

import inspect
import json
import math
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped
from support.example_result import example_result

from harness import report
from harness.errors import InfrastructureError
from harness.records import Result

gate_fields = import_module("harness.report.gate_json")

CHECK_FIELDS = {
    "candidate", "suite", "metric", "n", "used", "base", "tuned", "delta", "ci_low", "ci_high",
    "margin", "label", "verdict",
}  # fmt: skip


def with_verdict(result: Result, **changes: object) -> Result:
    """Change the first comparison of a result."""
    first, *others = result.comparisons
    return replace(result, comparisons=(replace(first, **changes), *others))


def test_gate_has_the_fields_of_the_contract() -> None:
    """Every check has each contracted field; the run's verdict, code and versions stand on top."""
    result = example_result()
    gate = report.gate_json(result)
    assert {"verdict", "exit_code", "checks", "versions"} <= gate.keys()
    assert (gate["verdict"], gate["exit_code"]) == ("fail", 1)
    assert len(gate["checks"]) == len(result.comparisons)
    for check, comparison in zip(gate["checks"], result.comparisons, strict=True):
        assert check.keys() >= CHECK_FIELDS
        assert check["delta"] == comparison.decision.delta
        assert check["n"] == check["used"] == len(comparison.pairs)


def test_every_field_is_documented() -> None:
    """The reference has each field that a gate or a check can have, in their order."""
    gate = report.gate_json(replace(example_result(), reason="two candidates"))
    assert gate.keys() <= gate_fields.GATE_FIELDS.keys()
    assert [name for name in gate_fields.CHECK_FIELDS if name in gate["checks"][0]] == list(
        gate["checks"][0]
    )
    written = inspect.getsource(gate_fields.gate_json) + inspect.getsource(gate_fields._check)
    written += inspect.getsource(gate_fields._reading) + inspect.getsource(gate_fields._macro_f1)
    fields = (*gate_fields.GATE_FIELDS, *gate_fields.CHECK_FIELDS)
    assert not [name for name in fields if f'"{name}"' not in written]


def test_gate_is_strict_json() -> None:
    """Numbers that do not exist are null, never NaN or Infinity."""
    result = example_result()
    decision = replace(result.comparisons[0].decision, ci_high=math.inf, delta=math.nan)
    gate = report.gate_json(with_verdict(result, decision=decision))
    assert json.dumps(gate, allow_nan=False)
    assert gate["checks"][0]["ci_high"] is None
    assert gate["checks"][0]["delta"] is None


def test_gate_of_an_invalid_check_says_why() -> None:
    """A check without a decision has null numbers, the verdict and the reason."""
    result = with_verdict(
        example_result(), decision=None, verdict="invalid", reason="too much unscored", base=None
    )
    check = report.gate_json(result)["checks"][0]
    assert (check["verdict"], check["label"], check["delta"]) == ("invalid", None, None)
    assert check["reason"] == "too much unscored"


def test_junit_has_a_case_a_check(tmp_path: Path) -> None:
    """A regression fails, an invalid check is an error, an undecided one is skipped."""
    result = with_verdict(example_result(), verdict="invalid", decision=None, reason="no gold")
    files = report.write(result, tmp_path)
    suites = {suite.name: suite for suite in JUnitXml.fromfile(str(files["junit.xml"]))}
    assert list(suites) == ["mixed", "narrow"]
    kinds = {
        (name, case.name.split()[0]): [type(entry) for entry in case.result]
        for name, suite in suites.items()
        for case in suite
    }
    assert kinds["mixed", "sql"] == [Error]
    assert kinds["mixed", "arc_mini"] == []
    assert kinds["narrow", "arc_mini"] == [Failure]
    assert kinds["narrow", "coherence"] == [Skipped]
    assert suites["narrow"].failures == 1


def test_junit_survives_what_xml_forbids() -> None:
    """Control characters in names and reasons do not break the file."""
    result = replace(
        with_verdict(example_result(), decision=None, verdict="invalid", reason="a\x00b\ud800<&>"),
        study="x\x0b\uffff",
    )
    assert JUnitXml.fromstring(report.junit(result).encode())


def test_a_regression_lists_few_of_its_items() -> None:
    """The failure names some lost items and says how many there are; it never lists thousands."""
    text = report.junit(example_result(size=300))
    assert "more in report.html" in text
    assert len(text) < 10_000


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    """All four files are functions of the result alone, and no temporary file stays behind."""
    first = report.write(example_result(), tmp_path / "a")
    second = report.write(example_result(), tmp_path / "b")
    assert list(first) == ["gate.json", "junit.xml", "report.md", "report.html"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(first)
    for name, path in first.items():
        assert path.read_bytes() == second[name].read_bytes()


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    """A file where the folder should be gives the rule, what was found and the remedy."""
    (tmp_path / "file").write_text("")
    with pytest.raises(
        InfrastructureError, match=r"cannot write .*, then run `harness report` again"
    ):
        report.write(example_result(size=12), tmp_path / "file")
