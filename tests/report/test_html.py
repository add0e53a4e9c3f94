"""report.html as text: complete, self-contained, and deaf to what models say."""

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.example_result import XSS, example_result, saying

from harness import report
from harness.analysis.run_result import result_of
from harness.display_text import visible
from harness.records import Comparison, Decision, Gate, Result
from harness.report.decision_view import matrix
from harness.report.headline import lede
from harness.report.item_browser import FLIPS, item_data, json_block
from harness.report.wording import check_sentence, signed


class Tags(HTMLParser):
    """Counts start tags and keeps attributes that could run or load something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, int] = {}
        self.suspicious: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count a tag and look at its attributes."""
        self.tags[tag] = self.tags.get(tag, 0) + 1
        for name, value in attrs:
            if name.startswith("on") or name in {"src", "style", "srcset"}:
                self.suspicious.append(f"{tag} {name}={value}")
            if name == "href" and not (value or "").startswith("#"):
                self.suspicious.append(f"{tag} {name}={value}")


def tags(page: str) -> Tags:
    """Parse a page."""
    found = Tags()
    found.feed(page)
    return found


def block(page: str) -> dict:
    """Read the JSON block of a page back."""
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text.group(1))


@pytest.mark.parametrize("text", XSS)
def test_hostile_answers_add_no_element(text: str) -> None:
    """A page full of attacks has the elements of a page full of words, and nothing that loads."""
    harmless = tags(report.html(saying("hello")))
    attacked = report.html(saying(text))
    assert tags(attacked).tags == harmless.tags
    assert tags(attacked).suspicious == []
    assert visible(text).split("\n")[0] in block(attacked)["strings"]


def test_hostile_names_add_no_element() -> None:
    """Names of studies, candidates, notes and settings are foreign text too."""
    result = example_result(size=12)
    attack = "</title><script>alert(1)</script>"
    comparisons = tuple(replace(c, candidate=attack, reason=attack) for c in result.comparisons)
    arms = tuple(
        replace(arm, note=attack, method=attack, settings={attack: attack}) for arm in result.arms
    )
    attacked = replace(
        result, study=attack, notes=(attack,), comparisons=comparisons, arms=arms, base_model=attack
    )
    page = report.html(attacked)
    assert tags(page).tags["script"] == 2
    assert "<script>alert" not in page


@given(
    st.recursive(
        st.text() | st.integers(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)  # fmt: skip
def test_the_json_block_is_json_and_cannot_be_left(data: object) -> None:
    """Any data comes back from the block, which holds no character that HTML would read."""
    text = json_block(data)
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == data


@given(st.text())
def test_visible_text_hides_nothing(text: str) -> None:
    """No control, direction mark or surrogate survives, and doing it twice changes nothing."""
    shown = visible(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert visible(shown) == shown
    shown.encode()


def test_every_answer_is_in_the_block_once() -> None:
    """Rows cover every pair; texts that repeat are stored once."""
    result = example_result()
    data = item_data(result)
    assert len(data["rows"]) == sum(len(c.pairs) for c in result.comparisons)
    assert len(data["strings"]) == len(set(data["strings"]))
    assert len({item[0] for item in data["items"]}) == len(data["items"])
    bases = {row[3] for row in data["rows"]}
    assert len(bases) == len(data["items"])


def test_evidence_of_a_judge_is_shown() -> None:
    """What a judge keeps as proof is in the block: as tables where it is some, else as lines."""
    rows = {"columns": ["n", "name"], "rows": [[1, None]], "total": 3, "only": [0]}
    details = {"chosen": 1, "witness": {"gold": rows, "pred": rows}, "robust_match": None}
    strings, answer = _with_details(details)
    assert answer[8] == ()
    shown = [
        (
            strings[title],
            [strings[one] for one in columns],
            [[strings[c] for c in r] for r in cells],
        )
        for title, columns, cells, _ in answer[9]
    ]
    assert shown == [
        ("the wanted query returns there (3 rows, 1 shown)", ["n", "name"], [["1", "NULL"]]),
        ("this answer returns there (3 rows, 1 shown)", ["n", "name"], [["1", "NULL"]]),
    ]
    strings, answer = _with_details({"witness": {"of": "another judge"}, "chosen": 1})
    assert [strings[line] for line in answer[8]] == ["witness:", "  of: another judge"]


def _with_details(details: dict[str, object]) -> tuple[list[str], tuple[object, ...]]:
    """Return the strings of a report's block, and the one answer that has evidence."""
    result = example_result()
    first, *others = result.comparisons[0].pairs
    verdict = replace(first.tuned.verdict, details=details)
    pairs = (replace(first, tuned=replace(first.tuned, verdict=verdict)), *others)
    comparisons = (replace(result.comparisons[0], pairs=pairs), *result.comparisons[1:])
    data = item_data(replace(result, comparisons=comparisons))
    (answer,) = (answer for answer in data["answers"] if answer[8] or answer[9])
    return data["strings"], answer


def test_lost_items_come_first() -> None:
    """Rows run from lost over gained to unchanged ones."""
    moves = [row[2] for row in item_data(example_result())["rows"]]
    assert moves == sorted(moves)
    assert item_data(example_result())["transitions"][0][0] == "lost"


def test_the_page_loads_nothing() -> None:
    """The content policy forbids everything but the page's own style and script."""
    page = report.html(example_result(size=12))
    assert "default-src 'none'" in html.unescape(page)
    assert "unsafe" not in page
    assert tags(page).suspicious == []
    assert not re.search(r"https?://", page)


def test_the_headline_says_what_broke() -> None:
    """The first heading names what ships, what does not, and the suite that broke."""
    heading = re.search("<h1>(.*?)</h1>", report.html(example_result())).group(1)
    assert heading == "mixed ships; narrow does not ship: it broke Science questions."


def test_many_candidates_share_a_table() -> None:
    """A sweep's headline names the best and counts; the rest stands in a matrix, the best first."""
    result = example_result()
    mixed, narrow = (
        [c for c in result.comparisons if c.candidate == name] for name in ("mixed", "narrow")
    )
    comparisons = [
        replace(c, candidate=f"{c.candidate}{copy}") for copy in (1, 2, 3) for c in mixed
    ] + [replace(c, candidate="narrow1") for c in narrow]
    several = replace(result, comparisons=tuple(comparisons), recommended="mixed2")
    page = report.html(several)
    heading = re.search("<h1>(.*?)</h1>", page).group(1)
    assert heading == "mixed2 is the best that passes; 3 of 4 ship; 1 of 4 does not ship."
    rows = re.findall(r"<b>(mixed\d|narrow\d)</b>", page.split('class="matrix dense"')[1])
    assert rows[:4] == ["mixed2", "mixed1", "mixed3", "narrow1"]
    text = report.markdown(several)
    assert text.splitlines()[1] == "# harbour: ship mixed2; narrow1 broke Science questions"
    assert "| ✓ | **mixed2**: ships | 88.3% ▲ **+87** (+77.8 to +93.2) |" in text


def test_what_gains_nothing_is_not_counted_as_shipping() -> None:
    """Of many candidates the headline counts as the recommendation does."""
    result = example_result()
    gains = [c for c in result.comparisons if c.candidate == "mixed"]
    holds = [changed_decision(c, label="unchanged") for c in gains]
    several = replace(
        result,
        comparisons=tuple(
            replace(c, candidate=name)
            for name, found in (("a", gains), ("b", holds), ("c", holds), ("d", gains))
            for c in found
        ),
        recommended="a",
    )
    told = "4 of 4 pass the gate, 2 of them gain nothing that shows"
    assert lede(several) == f"a is the best that passes; {told}."
    confirmed = replace(several, to_confirm=True)
    ask = "confirm it on fresh items before it ships"
    assert lede(confirmed) == f"a is the best that passes: {ask}; {told}."
    assert "**a**: passes, to be confirmed |" in report.markdown(confirmed)
    none = replace(several, comparisons=several.comparisons[4:12] + several.comparisons[4:8])
    assert "ship" not in lede(replace(none, recommended="b"))
    two = replace(confirmed, comparisons=several.comparisons[:8])
    assert lede(two) == f"a passes: {ask}; b passes the gate and gains nothing that shows."


def test_figures_that_are_stacked_have_names() -> None:
    """On a narrow screen each figure stands on a line of its own, with its column's name."""
    page = report.html(example_result())
    tables = re.findall(r'<table class="small stacks">(.*?)</table>', page, re.DOTALL)
    causes = [table for table in tables if "how often" in table and "no more" in table]
    assert causes
    assert any("right before</a>)" in table for table in causes)
    for table in causes:
        shown = re.findall(r'data-name="(.*?)"', table)
        assert set(shown) == {"items", "no more", "new", "change of share"}
        assert len(shown) == 4 * table.count('<th scope="row">')


def test_target_suites_come_first_and_decide_who_is_best() -> None:
    """The candidate that gains most on what it is tuned for is recommended, however others do."""
    result = example_result()
    mixed = [c for c in result.comparisons if c.candidate == "mixed"]
    science = replace(mixed[3].suite, target=True)
    better = [
        replace(c, candidate="scholar", suite=science, decision=replace(c.decision, delta=0.2))
        if c.suite.name == "arc_mini"
        else replace(c, candidate="scholar", decision=replace(c.decision, delta=0.0))
        for c in mixed
    ]
    mixed[3] = replace(mixed[3], suite=science)
    found = result_of(
        [*mixed, *better], study="s", base_model="b", arms=result.arms, gate=Gate(),
        suites=[science if s.name == "arc_mini" else s for s in result.suites],
        scores=result.scores,
    )  # fmt: skip
    assert found.recommended == "scholar"
    assert found.recommendation.startswith("scholar can ship, but gains nothing that shows on what")
    assert report.markdown(found).splitlines()[1].startswith("# s: scholar gains nothing")
    assert {c.reference for c in found.rivals} == {"scholar"}
    assert matrix(found).columns[0].is_target
    assert "The others that pass, against scholar" in report.html(found)


def test_a_run_without_comparisons_still_gives_a_page() -> None:
    """An empty result is reported as such."""
    empty = Result(
        study="x", base_model="m", verdict="invalid", exit_code=3, arms=(), suites=(), scores=(),
        comparisons=(), findings=(), versions={}, seed=0,
    )  # fmt: skip
    assert "Nothing was compared" in report.html(empty)
    assert "Nothing" in report.markdown(empty) or "invalid" in report.markdown(empty)


def changed_decision(comparison: Comparison, **changes: object) -> Comparison:
    """Change the decision of a comparison."""
    decision: Decision = replace(comparison.decision, **changes)
    return replace(comparison, decision=decision)


def test_a_drop_that_holm_does_not_confirm_is_undecided() -> None:
    """A suite that fails by itself but not within its family is not said to have broken."""
    result = example_result()
    why = "a drop, but not beyond chance among 4 suites"
    comparisons = tuple(
        replace(c, verdict="inconclusive", reason=why) if c.verdict == "fail" else c
        for c in result.comparisons
    )
    page = report.html(replace(result, comparisons=comparisons))
    assert "<h1>mixed ships; narrow is undecided.</h1>" in page
    assert ">Broke<" not in page
    assert why in page


def test_what_cannot_be_judged_has_no_empty_figures() -> None:
    """A check without a score shows why, and no empty interval; what broke stays the news."""
    result = example_result()
    checks = [
        replace(c, verdict="invalid", decision=None, base=None, tuned=None, reason="too long")
        if (c.candidate, c.suite.name) == ("narrow", "sql") else c
        for c in result.comparisons
    ]  # fmt: skip
    void = replace(result, comparisons=tuple(checks))
    assert "narrow broke Science questions and cannot be judged on SQL" in lede(void)
    page, text = report.html(void), report.markdown(void)
    assert "()" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "– → –" not in page + text
    assert "| ! not judged |" in text or "! not judged" in text


def test_a_check_with_too_much_unscored_says_so() -> None:
    """An invalid check shows its reason, though numbers exist."""
    result = example_result()
    why = "9 of 60 items are unscored, more than the 5% allowed"
    first = replace(result.comparisons[0], verdict="invalid", reason=why)
    page = report.html(replace(result, comparisons=(first, *result.comparisons[1:])))
    assert "<h1>mixed cannot be judged; narrow does not ship: it broke Science" in page
    assert page.count(why) >= 2


@pytest.mark.parametrize(
    ("label", "verdict", "words"),
    [
        ("unchanged", "pass", "SQL unchanged (−0.6, between −2.4 and +1.2)"),
        ("not_worse", "pass", "SQL not worse (−0.6, between −2.4 and +1.2)"),
        ("improved", "pass", "SQL −0.6 points (between −2.4 and +1.2)"),
        ("regressed", "fail", "SQL lost 0.6 points (between −2.4 and +1.2; clear)"),
        (
            "inconclusive",
            "inconclusive",
            "SQL undecided (−0.6, between −2.4 and +1.2; about 1,200 items in all would decide)",
        ),
    ],
)
def test_checks_are_said_in_words(label: str, verdict: str, words: str) -> None:
    """Each label has its sentence, with the interval and, where it matters, how sure it is."""
    comparison = changed_decision(
        replace(example_result(size=12).comparisons[0], verdict=verdict, p_adjusted=0.02),
        label=label, delta=-0.006, ci_low=-0.024, ci_high=0.012, items_needed=1200,
    )  # fmt: skip
    assert check_sentence(comparison) == words


@given(st.floats(min_value=-1, max_value=1).filter(lambda x: abs(abs(x) - 0.0005) > 1e-6))
def test_points_never_lose_their_sign(change: float) -> None:
    """A number shown as positive is positive; what rounds to zero has no sign."""
    text = signed(change)
    assert text.startswith("+") == (change >= 0.0005)
    assert text.startswith("−") == (change <= -0.0005)


def test_a_large_run_has_every_flip_and_says_what_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Beyond a number of answers the page has a sample of the others; figures are of all."""
    whole = example_result()
    monkeypatch.setattr("harness.report.item_browser.MOST_ROWS", 500)
    monkeypatch.setattr("harness.report.item_browser.SAMPLE", 700)
    block = item_data(whole)
    moves = [block["transitions"][row[2]][0] for row in block["rows"]]
    flips = [p.transition for c in whole.comparisons for p in c.pairs if p.transition in FLIPS]
    assert sum(move in FLIPS for move in moves) == len(flips)
    assert len(flips) < len(moves) < 800
    page = report.html(whole)
    assert f"This page has all {len(flips)} answers that changed" in page
    assert report.html(whole) == page


def test_a_report_without_texts_keeps_every_figure(tmp_path: Path) -> None:
    """No word of a question, an answer or what a judge made of it stands in any file."""
    result = example_result()
    written = report.write(report.without_texts(result), tmp_path)
    whole = report.write(result, tmp_path / "whole")
    texts = {name: path.read_text("utf-8") for name, path in written.items()}
    secrets = ("lungs", "helium", "harbour =", "The sea is wide", "keeper of the lamp", "oxygen")
    assert not [(s, name) for s in secrets for name, text in texts.items() if s in text]
    assert any(s in whole["report.html"].read_text("utf-8") for s in secrets)
    gates = [json.loads(files["gate.json"].read_text()) for files in (written, whole)]
    assert gates[0]["checks"] == gates[1]["checks"]
    assert "subject = physics" in texts["report.html"]
