"""``report.html``: one file that needs no network and no server.

Everything a model or a data set says is foreign text: Jinja2 escapes it once, the content policy
allows exactly one style sheet and one script, named by their hashes, and nothing from outside.
"""

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from harness.content import REPORTS, asset, page_policy
from harness.display_text import visible
from harness.records import BASE, Result, Suite
from harness.report import headline, overview
from harness.report.costs_view import answering, costs
from harness.report.data_card_view import training_data
from harness.report.decision_view import matrix, rivals
from harness.report.details import sections
from harness.report.forms_view import forms
from harness.report.item_browser import embedded, item_data, left_out
from harness.report.lost_items import losses
from harness.report.people_view import people
from harness.report.recipe_table import MEANING, recipe_table
from harness.report.standouts import beside
from harness.report.training_view import training
from harness.report.wording import agreements, grouping, level, prompts_told

SCRIPTS = ("page.js", "texts.js", "marks.js", "item.js", "browser.js")
"""The page's script, in this order."""


def html(result: Result) -> str:
    """Render the report of a run; the same run gives the same bytes."""
    style, script = asset("report.css"), "\n".join(['"use strict";', *map(asset, SCRIPTS)])
    found = overview.tradeoffs(result)
    return page_template("report.html.j2").render(
        result=result,
        policy=page_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        data=embedded(item_data(result)),
        left_out=left_out(result),
        lede=headline.lede(result),
        prompts=prompts_told(result),
        cards=headline.cards(result),
        beside=beside(result),
        level=level(result.comparisons),
        agreements=agreements(result.suites),
        warnings=overview.warnings(result),
        losses=losses(result),
        costs=costs(result),
        answering=answering(result),
        matrix=matrix(result),
        rivals=rivals(result),
        forms=forms(result),
        forest=overview.forest(result),
        arms=overview.arms(result),
        measures=overview.measures(result),
        people=people(result),
        recipes=recipe_table(result),
        recipes_mean=MEANING,
        tradeoffs=found,
        pareto=overview.pareto(found),
        sections=sections(result),
        trainings=[training(arm) for arm in result.arms if arm.name != BASE],
        learnt=training_data(result),
        suites=[_declared(suite) for suite in result.suites],
        versions=sorted(result.versions.items()),
    )


def page_template(name: str) -> Template:
    """Return the template of a page: it escapes every text and lets none hide or steer."""
    environment = Environment(
        loader=FileSystemLoader(REPORTS / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["foldable"] = _foldable
    return environment.get_template(name)


def _foldable(name: str) -> Markup:
    """Return a name that is broken after an underscore, where it does not fit."""
    return Markup("_<wbr>").join(visible(name).split("_"))


def _shown(value: object) -> object:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _declared(suite: Suite) -> dict[str, str]:
    grouped = grouping(suite)
    goal = "" if suite.at_least is None else f", at least {suite.at_least:g}"
    allowed = f", allowing {', '.join(suite.allow)}" if suite.allow else ""
    return {
        "title": f"suite {suite.name}",
        "words": f"{suite.metric}, {suite.kind} score, margin {suite.margin:g}{goal}, {grouped}"
        + allowed,
    }
