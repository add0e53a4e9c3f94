"""The section on people: what it says, of how much, and that it changes no verdict."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.example_result import example_result
from support.finished_runs import write_run
from support.reviews import keep, rated

from harness import report
from harness.analysis.people import people_beside
from harness.errors import DataError
from harness.pipeline.conclude import reopen
from harness.records import Judged, JudgedPair, Pair, Result, Review
from harness.report.people_view import people
from harness.review.judging import judged_text


def gain(pair: Pair) -> float:
    """Return by how much the score says that tuned is better."""
    return (pair.tuned.verdict.score or 0.0) - (pair.base.verdict.score or 0.0)


def as_scored(rater: int, pair: Pair) -> int:
    """Prefer what the score prefers; the second rater takes half of the ties for losses."""
    found = round(gain(pair))
    return found or (-1 if rater == 2 and int(pair.base.item.key.doc_hash[:2], 16) % 2 else 0)


def against_the_score(rater: int, pair: Pair) -> int:
    """Prefer what the score does not, and base where it sees no difference."""
    return -2 if gain(pair) >= 0 else 1


def with_review(review: Review, size: int = 60) -> Result:
    """Return the example with a draw's ratings."""
    return replace(example_result(size=size), reviews=(review,))


def example(opinion: object = as_scored, *, items: int = 40, raters: int = 2) -> Result:
    """Return the example with everything rated by ``opinion``."""
    result = example_result(size=60)
    review = rated(list(result.comparisons), opinion, items=items, raters=raters)
    return replace(result, reviews=(review,))


def test_without_ratings_there_is_no_section() -> None:
    """Whoever asked nobody reads nothing about people."""
    result = example_result(size=12)
    assert people(result) is None
    for text in (report.html(result), report.markdown(result)):
        assert "eople say" not in text
        assert 'id="people"' not in text


def test_the_section_says_whom_people_prefer() -> None:
    """Rate with interval, counts, agreement, sides, metrics and raters, in both reports."""
    result = example()
    section = people(result)
    assert section.words.startswith("2 people gave ")
    sql = next(one for one in section.sets if (one.title, one.candidate) == ("SQL", "mixed"))
    assert sql.preferred == "people prefer mixed"
    assert re.fullmatch(r"[\d.]+% \([\d.]+% to [\d.]+%\)", sql.rate)
    facts = dict(sql.facts)
    assert "Cohen’s kappa" in facts["Agreement"]
    assert "Krippendorff’s alpha" in facts["Agreement"]
    assert "if both answers were equally long" in facts["At equal length"]
    assert [row[0] for row in sql.raters] == ["rater 1", "rater 2"]
    assert sql.metrics[0][0] == "execution_accuracy"
    page, text = report.html(result), report.markdown(result)
    assert f"mixed wins {sql.rate}" in page
    assert "## What people say" in text
    assert "people prefer mixed" in text
    titles = [title for title, _ in section.rankings]
    assert "SQL" in titles


def test_items_of_disagreement_open_in_the_browser() -> None:
    """Every link names a candidate and an item that the page has."""
    result = example(against_the_score)
    (sql,) = [o for o in people(result).sets if (o.title, o.candidate) == ("SQL", "mixed")]
    listing = sql.listings[0]
    assert listing.title == "People and the score prefer different answers"
    assert len(listing.items) == 8
    assert listing.more > 0
    assert listing.items[0].words == "2 of 2 raters prefer base, the score mixed"
    page = report.html(result)
    for item in listing.items:
        assert item.link == f"#candidate=mixed&item={item.name}"
        assert item.name.split(".")[1] in page


def test_split_raters_and_changed_minds_are_worth_a_second_look() -> None:
    """What raters do not agree on, decline or contradict themselves in is listed, with comments."""
    result = example_result(size=60)
    review = rated([result.comparisons[0]], lambda rater, _: 1 if rater == 1 else -1, items=12)
    first = review.ratings[0]
    ratings = [replace(first, comment="hard to say"), *review.ratings[1:]]
    ratings.append(replace(first, row="again", repeats=first.row, preference=-1))
    found = people_beside(result.comparisons, [replace(review, ratings=tuple(ratings))])
    words = {said.key: said.words for said in found[0].again}
    assert len(words) == 12
    assert words[first.item] == (
        "1 for mixed, 1 for base; rater 1 changed sides when it was shown again; “hard to say”"
    )


def test_nothing_is_said_of_fewer_than_ten_ratings() -> None:
    """Counts remain; no rate, agreement, metric, length or rater does."""
    section = people(example(items=4))
    for one in section.sets:
        assert one.preferred == "not known: fewer than 10 ratings"
        assert (one.rate, one.chart, one.facts, one.metrics, one.raters) == ("", None, (), (), ())
    assert section.rankings == ()


def test_hostile_words_stay_words() -> None:
    """A comment is foreign text: escaped in the page, plain in Markdown, gone without texts."""
    result = example_result(size=60)
    review = rated([result.comparisons[0]], lambda rater, _: 1 if rater == 1 else -1, items=12)
    hostile = "<script>alert(1)</script> @you \u2028 ![x](http://evil)"
    ratings = tuple(replace(one, comment=hostile) for one in review.ratings)
    result = replace(result, reviews=(replace(review, ratings=ratings),))
    page = report.html(result)
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "alert(1)" not in report.html(report.without_texts(result))


def test_people_who_contradict_the_score_change_no_verdict(tmp_path: Path) -> None:
    """The recommendation says it in one more sentence; verdict, checks and exit code stay."""
    folder = write_run(tmp_path / "run", size=80)
    _, before = reopen(folder)
    assert reopen(folder)[1] == before
    sql = [c for c in before.comparisons if c.suite.name == "sql"]
    keep(rated(sql, against_the_score), folder.review)
    _, after = reopen(folder)
    assert after.recommendation.startswith(before.recommendation)
    assert re.search(
        r"\. People contradict the score on SQL: they prefer base to mixed "
        r"\(\d+% of items, \d+% to \d+%\), where the score improved$",
        after.recommendation,
    )
    assert (after.verdict, after.exit_code) == (before.verdict, before.exit_code)
    assert after.comparisons == before.comparisons


def test_ratings_of_answers_that_are_gone_are_left_out(tmp_path: Path) -> None:
    """Who rated other answers rated another model; the report says how many were left out."""
    folder = write_run(tmp_path / "run", size=80)
    _, result = reopen(folder)
    sql = [c for c in result.comparisons if c.suite.name == "sql"]
    review = rated(sql, as_scored)
    changed = [replace(one, answers="0" * 16) for one in review.ratings[:30]]
    keep(replace(review, ratings=(*changed, *review.ratings[30:])), folder.review)
    _, found = reopen(folder)
    assert found.reviews[0].left_out == 30
    assert found.reviews[0].summaries[0].judgements == len(review.ratings) - 30
    assert "30 ratings of answers that this run no longer gives were left out" in report.html(found)


def test_a_judge_without_raters_is_read(tmp_path: Path) -> None:
    """A draw that only a judge has rated has no ratings, and the report says so."""
    folder = write_run(tmp_path / "run", size=12)
    _, result = reopen(folder)
    review = judged(rated([result.comparisons[0]], as_scored, items=4), lambda *_: 0)
    (folder.review / "d1").mkdir(parents=True)
    (folder.review / "d1" / "judge.json").write_text(judged_text(review.judged))
    _, found = reopen(folder)
    assert people(found).sets == ()
    assert "people have rated 0 of the pairs" in people(found).judges[0][1]


def test_a_broken_review_is_refused(tmp_path: Path) -> None:
    """The file is named, and what to do."""
    folder = write_run(tmp_path / "run", size=12)
    (folder.review / "d1").mkdir(parents=True)
    (folder.review / "d1" / "review.json").write_text("{")
    with pytest.raises(DataError, match=r"d1/review\.json"):
        reopen(folder)


def judged(review: Review, preference: object) -> Review:
    """Let a judge model say of each rated pair what ``preference`` makes of a first rating."""
    first = {(r.set_name, r.item): r for r in reversed(review.ratings)}
    pairs = [
        JudgedPair(set_name=r.set_name, item=r.item, stratum=r.stratum, answers=r.answers,
                   preference=preference(number, r))
        for number, r in enumerate(first.values())
    ]  # fmt: skip
    told = Judged(model="judge-7b", prompt="p", samples=5, seed=0, pairs=tuple(pairs))
    return replace(review, judged=replace(told, sets=review.sets))


def test_a_judge_that_agrees_with_people_is_shown_beside_them() -> None:
    """Kappa with people and theirs among themselves, and the judge's own win rates."""
    review = example(lambda _, pair: round(gain(pair))).reviews[0]
    section = people(with_review(judged(review, lambda _, r: r.preference)))
    ((title, words),) = section.judges
    assert title == "The judge model judge-7b"
    assert "kappa 1.00 (1.00 to 1.00); people among themselves reach 1.00" in words
    assert "SQL: mixed wins" in words
    assert "withheld" not in words


def test_a_judge_that_disagrees_is_withheld() -> None:
    """Below kappa 0.6 its figure is not shown, and the report says why."""
    review = example().reviews[0]
    section = people(with_review(judged(review, lambda number, _: number % 3 - 1)))
    assert "Its figure is withheld: it agrees with people too little (kappa" in section.judges[0][1]
    assert "wins" not in section.judges[0][1]


def test_a_judge_whose_replies_cannot_be_read_is_withheld() -> None:
    """What names no answer is no tie."""
    review = example().reviews[0]
    (_, words), *_ = people(with_review(judged(review, lambda *_: None))).judges
    assert "none of its replies names an answer" in words


def test_a_judge_beside_few_ratings_is_withheld() -> None:
    """Below a hundred human ratings nobody knows how far it can be trusted."""
    result = example_result(size=60)
    review = rated([result.comparisons[0]], as_scored, items=30)
    section = people(with_review(judged(review, lambda _, r: r.preference)))
    assert (
        "people have rated 60 of the pairs that it judged, 100 are needed" in section.judges[0][1]
    )
