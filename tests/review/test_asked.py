"""What a study or a command asks raters to see, checked before anything is drawn."""

import pytest
from support.example_result import example_result

from harness.errors import StudyError
from harness.pipeline.finished.rating_sheets import draw
from harness.study import ReviewSection


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"suites": ["sqll"]}, "raters see suites of the run: 'sqll' is none; did you mean 'sql'"),
        ({"form": {"chat": "direct"}}, "'chat' is none"),
        ({"by": "topik"}, "strata are split by what rows have: 'topik' is in none; did you mean"),
    ],
)
def test_what_is_not_there_is_refused(asked: dict, told: str) -> None:
    """A mistyped suite or field is one sentence, not a draw of something else."""
    with pytest.raises(StudyError, match=told):
        draw(example_result().comparisons, ReviewSection(**asked), seed=0)


def test_only_what_is_asked_for_is_drawn() -> None:
    """Suites, forms and strata are those of the section."""
    asked = ReviewSection(
        suites=["sql", "domain_qa"], form={"sql": "direct"}, items_per_suite=12, by="label"
    )
    sets = draw(example_result().comparisons, asked, seed=0)
    assert {(one.comparison.suite.name, one.form) for one in sets} == {
        ("sql", "direct"),
        ("domain_qa", "preference"),
    }
    assert all(len(one.draw.drawn) == 12 for one in sets)
    assert all(":" in name for one in sets for name in one.drawn)
    everything = draw(example_result().comparisons, ReviewSection(form="direct"), seed=0)
    assert {one.form for one in everything} == {"direct"}
    assert len(everything) == 8
