"""YAML and card of a suite of one's own: those of the suite of ours that asks such rows."""

import json
import re
from collections.abc import Mapping, Sequence
from statistics import fmean

from harness.content import TASKS
from harness.suites.own.golden_lines import choices_of

_LIKELIHOOD = """\
output_type: multiple_choice
test_split: test
doc_to_text: {prompt}
doc_to_choice: "{{{{labels}}}}"
doc_to_target: "{{{{labels.index(label)}}}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
  - metric: acc_norm
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
  harness:
    title: {title}
    metric: acc
    kind: binary
    slices: [label]
    margin: 0.05
"""
"""A classification by likelihood: each label continues the prompt, the likeliest is the answer."""

_DROPPED = re.compile(r"^(?:validation_split|fewshot_split):.*\n", re.MULTILINE)
_CLUSTER = re.compile(r"^    cluster:.*\n", re.MULTILINE)
_WORDS = 3
"""Words of a choice, on average, above which choices are texts of some length."""
_KEPT = ("**Measures", "**Score", "**Why", "**Labels", "**What it cannot", "**What a wrong")


def yaml_text(
    suite: str,
    name: str,
    source: str,
    rows: Sequence[Mapping[str, object]],
    *,
    title: str = "",
    metric: str = "",
    labels: Sequence[str] = (),
    likelihood: bool = False,
) -> str:
    """Return a suite's YAML: that of a suite of ours, about other rows.

    Args:
        suite: The suite of ours.
        name: What the new one is called.
        source: Where its rows come from.
        rows: Its items; slices by fields that they lack are left out.
        title: What such suites are called; by default as that suite is.
        metric: What decides, where it is another than that suite's.
        labels: The closed set that a prompt names.
        likelihood: Whether labels are scored instead of generated.
    """
    text = (TASKS / suite / f"{suite}.yaml").read_text(encoding="utf-8")
    title = json.dumps(f"{title or _value(text, 'title')}: {name}", ensure_ascii=False)
    if likelihood:
        prompt = _line_of(text, "doc_to_text")
        loader = f"custom_dataset: {_line_of(text, 'custom_dataset')}\n"
        text = f"task: {name}\n{loader}{_LIKELIHOOD.format(prompt=prompt, title=title)}"
    text = _DROPPED.sub("", text[text.index("task:") :])
    text = re.sub(r"^task:.*$", f"task: {name}", text, count=1, flags=re.MULTILINE)
    text = re.sub(r"^    title:.*$", lambda _: f"    title: {title}", text, flags=re.MULTILINE)
    grouped = "    cluster: group       # rows that belong together or ask nearly the same\n"
    text = re.sub(r"^    margin:", lambda match: grouped + match[0], _CLUSTER.sub("", text),
                  count=1, flags=re.MULTILINE)  # fmt: skip
    text = re.sub(
        r"^    slices: \[(.*)\].*\n", lambda m: _slices(m[1], rows), text, flags=re.MULTILINE
    )
    text = re.sub(
        r"^    margin: .*$", "    margin: 0.05         # the largest drop that you can live with",
        text, flags=re.MULTILINE,
    )  # fmt: skip
    if metric:
        text = re.sub(r"^    metric: .*$", f"    metric: {metric}", text, flags=re.MULTILINE)
    if labels:
        shown = json.dumps(list(labels), ensure_ascii=False)
        declared = f"metadata:\n  labels: {shown}   # the closed set, as the prompt shows it\n"
        text = text.replace("metadata:\n", declared, 1)
    return (
        f"# Begun from {_plain(source)}. The prompt is doc_to_text: change it as you like.\n{text}"
    )


def _plain(source: str) -> str:
    return json.dumps(source, ensure_ascii=False)


def _line_of(text: str, key: str) -> str:
    return str(re.findall(rf"^{key}: (.*)$", text, flags=re.MULTILINE)[0])


def _value(text: str, key: str) -> str:
    return str(re.findall(rf"^ +{key}: (.*)$", text, flags=re.MULTILINE)[0]).strip('"')


def _slices(given: str, rows: Sequence[Mapping[str, object]]) -> str:
    names = [name.strip() for name in given.split(",")]
    there = [name for name in names if name != "group" and any(name in row for row in rows)]
    return f"    slices: [{', '.join(there)}]\n" if there else ""


_LIKELIEST = """\
**Measures** whether the right choice is the likeliest of those that a row has. Nothing is written
by the model: it may choose well and still not say so.

**Score** `{metric}`: the choice with the highest log-likelihood after the prompt{divided}.
{other} Chance is {chance:.0%}.

**What a wrong score would mean** At chance or below it: prompts or choices are broken, or the model
reads its questions in another form (`doc_to_text`). A sharp rise: rows of this suite were learnt;
look at the overlap check."""


def likeliest(rows: Sequence[Mapping[str, object]]) -> tuple[str, str]:
    """Return the metric of choices that are scored by likelihood, and what a card says of it.

    Where choices are texts of some length, a sum of log-likelihoods prefers the shortest.
    """
    found = [choices_of(row) for row in rows]
    texts = [text for choices, _ in found for text in choices]
    chance = fmean(1 / len(choices) for choices, _ in found)
    if sum(len(text.split()) for text in texts) > _WORDS * len(texts):
        metric = "acc_norm"
        divided = ",\ndivided by its characters, so that none wins by being short"
        other = "`acc`, not divided, stands beside it."
    else:
        metric, divided = "acc", ""
        other = "`acc_norm`, divided by characters, stands beside it."
    told = _LIKELIEST.format(metric=metric, divided=divided, other=other, chance=chance)
    return metric, told


def card_text(
    suite: str,
    name: str,
    source: str,
    rows: int,
    by: str,
    columns: Mapping[str, str],
    scored: str = "",
) -> str:
    """Return a suite's card: what its score means, and what only its author knows.

    What is ``scored`` is said in its words, or else as the card of the suite of ours does.
    """
    paragraphs = (TASKS / suite / "card.md").read_text(encoding="utf-8").strip().split("\n\n")
    kept = scored or "\n\n".join(part for part in paragraphs[1:] if part.startswith(_KEPT))
    read = ", ".join(
        f"`{field}`" if field == column else f"`{field}` (column `{column}`)"
        for field, column in columns.items()
    )
    told = f": {read}" if read else ""
    return f"""# {name}

**Fill in** Where do the rows come from, who wrote what is right, under which licence? May a model
have seen them? Until this is said, nobody can tell what the score is worth.

**Items** {rows} rows of `{source}`{told}. Rows were grouped by {by}:
a group is one cluster, and clusters are a sample of what the verdict is about.

**Golden file** `golden.jsonl` holds the judge to what you would decide: a row (`doc`), a model's
`response`, and the `verdict`, `score` and `labels` that are right, with the reason (`why`). The
first lines were written from your rows. Add answers of your model: right ones in other words,
nearly right ones, wrong ones of each kind. `harness tasks check FOLDER` says where the judge
decides otherwise.

{kept}
"""
