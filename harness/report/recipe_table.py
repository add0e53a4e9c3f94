"""Is it the recipe or luck? What holds for a training recipe over its seeds, ready to be read."""

from dataclasses import dataclass

from harness.records import RecipeComparison, Result
from harness.report.wording import LABEL_SYMBOLS, LABEL_WORDS, precise, suite_title

MEANING = (
    "Each recipe was trained with several seeds. The change is the mean over them; its interval "
    "counts both the items and the seeds, so that it holds for a further seed of the same recipe. "
    "The spread is the standard deviation of the seeds' own changes."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeRow:
    """One recipe on one suite in words; changes in points."""

    recipe: str
    suite: str
    seeds: int
    change: str
    extent: str
    spread: str
    symbol: str
    words: str


def recipe_table(result: Result) -> tuple[RecipeRow, ...]:
    """Put every recipe of a run into words; empty where no arms share one."""
    return tuple(_row(found) for found in result.recipes)


def _row(found: RecipeComparison) -> RecipeRow:
    decision = found.decision
    change = extent = "–"
    symbol, words = "?", found.reason
    if decision is not None:
        change = precise(decision.delta)
        extent = f"{precise(decision.ci_low)} to {precise(decision.ci_high)}"
        symbol, words = LABEL_SYMBOLS[decision.label], LABEL_WORDS[decision.label]
    return RecipeRow(
        recipe=found.recipe,
        suite=suite_title(found.suite),
        seeds=len(found.candidates),
        change=change,
        extent=extent,
        spread="–" if found.spread is None else f"{100 * found.spread:.1f}",
        symbol=symbol,
        words=words,
    )
