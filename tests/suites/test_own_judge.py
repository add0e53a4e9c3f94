"""A judge of one's own, in a suite's folder outside the checkout."""

import json
import re
from pathlib import Path

import pytest
from support.suites import load_polite

from harness.errors import StudyError
from harness.records import Answers, Response

pytestmark = pytest.mark.model

SUITE = """\
task: polite
custom_dataset: !function harness.suites.dataset.load
output_type: generate_until
test_split: test
doc_to_text: "{{question}}"
doc_to_target: thanks
generation_kwargs: {until: [], do_sample: false, max_gen_toks: 8}
metric_list:
  - {metric: politeness, aggregation: mean, higher_is_better: true}
metadata: {version: 1.0, harness: {metric: politeness, kind: binary, judge: "my_judge:score"}}
"""
JUDGE = """\
from harness.records import Verdict

def score(doc, responses):
    said = responses[0].text
    if said == "odd":
        return 1.0
    right = doc["thanks"] in said
    return Verdict(outcome="correct" if right else "incorrect", score=float(right))
"""


def write(folder: Path, judge: str = JUDGE, suite: str = SUITE) -> Path:
    """Write a suite with three rows, and its judge."""
    (folder / "data").mkdir(parents=True)
    (folder / "polite.yaml").write_text(suite)
    (folder / "my_judge.py").write_text(judge)
    rows = [{"question": f"Say thanks {n} times.", "thanks": "thanks"} for n in range(3)]
    (folder / "data" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_function_beside_the_suite_judges_it(tmp_path: Path) -> None:
    """Its verdicts count; what it fails on is unscored, and its code is a part of its name."""
    write(tmp_path / "polite")
    suite = load_polite(tmp_path, trust=["judge"])
    assert re.fullmatch(r"my_judge:score@[0-9a-f]{12}", suite.suite.judge)
    texts = ("many thanks", "no", "odd")
    answers: Answers = {
        request.key: Response(text=text, finish="stop")
        for request, text in zip(suite.requests, texts, strict=True)
    }
    verdicts = [sample.verdict for sample in suite.samples("base", answers)]
    assert [one.score for one in verdicts] == [1.0, 0.0, None]
    assert "must return a Verdict: found float" in verdicts[2].explanation
    (tmp_path / "polite" / "my_judge.py").write_text(JUDGE + "# changed\n")
    assert load_polite(tmp_path, trust=["judge"]).suite.judge != suite.suite.judge


@pytest.mark.parametrize(
    ("changes", "trust", "expected"),
    [
        ({"judge": "raise SystemError"}, [], "runs only where the study trusts it"),
        ({"judge": "import nothing_of_the_kind"}, ["judge"], "a judge must load: .*nothing_of"),
        ({"judge": "def scored(): ..."}, ["judge"], "no function 'score' in .*'scored'"),
        ({"suite": SUITE.replace("my_judge:", "other:")}, ["judge"], "other.py is not there"),
        ({"suite": SUITE.replace("my_judge:", "../up:")}, ["judge"], "'module:function' in"),
    ],
)
def test_no_code_runs_without_leave_and_none_that_is_not_there(
    tmp_path: Path, changes: dict[str, str], trust: list[str], expected: str
) -> None:
    """One sentence says what to read, and what to write where."""
    write(tmp_path / "polite", **changes)
    with pytest.raises(StudyError, match=expected):
        load_polite(tmp_path, trust=trust)
