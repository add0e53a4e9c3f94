"""What a person and a program see of a recipe that was trained with several seeds."""

from dataclasses import replace

import pytest
from support.example_result import example_result

from harness.analysis.recipes import compare_recipes
from harness.cli import console
from harness.records import Gate, Result
from harness.report import gate_json, html, markdown


def with_seeds(count: int) -> Result:
    """Return the example with its mixed candidate trained so many times."""
    plain = example_result(size=24)
    mixed, narrow = plain.arms[1], plain.arms[2]
    names = [f"mixed-seed{number}" for number in range(count)]
    arms = (plain.arms[0], *(replace(mixed, name=n, recipe="<mixed>") for n in names), narrow)
    own = [c for c in plain.comparisons if c.candidate == "mixed"]
    seeds = [replace(c, candidate=name) for name in names for c in own]
    return replace(
        plain,
        arms=arms,
        comparisons=(*seeds, *(c for c in plain.comparisons if c.candidate == "narrow")),
        recipes=compare_recipes(arms, seeds, Gate()),
    )


def test_the_gate_file_has_every_recipe() -> None:
    """One entry a recipe and suite, beside the checks, and no key where there is none."""
    found = gate_json(with_seeds(3))["recipes"]
    assert isinstance(found, list)
    assert [entry["suite"] for entry in found] == ["sql", "domain_qa", "coherence", "arc_mini"]
    assert found[0]["candidates"] == ["mixed-seed0", "mixed-seed1", "mixed-seed2"]
    assert (found[0]["label"], found[0]["verdict"]) == ("improved", "pass")
    assert found[0]["spread"] == 0.0
    assert found[0]["ci_low"] <= found[0]["delta"] <= found[0]["ci_high"]
    assert "recipes" not in gate_json(example_result(size=24))


def test_both_reports_have_a_table_of_recipes() -> None:
    """It asks the question and gives mean, interval, spread and label; names are escaped."""
    result = with_seeds(3)
    text, page = markdown(result), html(result)
    assert "## Is it the recipe or luck?" in text
    assert "| ▲ | &lt;mixed&gt; | SQL | 3 |" in text
    assert '<section id="recipes">' in page
    assert "&lt;mixed&gt;" in page
    plain = example_result(size=24)
    assert "recipe or luck" not in markdown(plain) + html(plain)


def test_too_few_seeds_are_named() -> None:
    """Two seeds give no label, and the reason stands in its place."""
    text = markdown(with_seeds(2))
    assert "at least 3 training seeds: found 2" in text


def test_the_terminal_shows_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    """A table of its own after the candidates', only where there are recipes."""
    console.show(with_seeds(3))
    assert "is it the recipe or luck?" in capsys.readouterr().out
    console.show(with_seeds(2))
    assert "found 2; train more" in capsys.readouterr().out
    console.show(example_result(size=24))
    assert "recipe" not in capsys.readouterr().out
