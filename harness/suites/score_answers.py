"""Score answers: lm-eval's filters and metrics, or the suite's own judge, make verdicts."""

import json
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path

from harness.errors import StudyError, nearest
from harness.records import Item, Response, Suite, Verdict
from harness.suites.lm_eval_task import LmEvalInstance, LmEvalTask
from harness.suites.own.own_judge import OwnJudge

ROLLING = "byte_likelihood"
"""Score of a whole text: its likelihood to the power of one over its bytes, in (0, 1]."""


def doc_hash(doc: Mapping[str, object]) -> str:
    """Return lm-eval's ``doc_hash`` of a row."""
    from lm_eval.utils import handle_non_serializable, hash_string

    text = json.dumps(doc, indent=2, default=handle_non_serializable, ensure_ascii=False)
    return str(hash_string(text))


def first_filter(task: LmEvalTask) -> str:
    """Return the name of a task's first filter, whose answers are the ones that are compared."""
    return str(task._filters[0].name)


def declared_config(task: LmEvalTask, metric: str | None = None) -> dict[str, object]:
    """Return what a task of lm-eval declares, first the metric that decides.

    Args:
        task: The task.
        metric: Which of its metrics that is; by default the first that gives a score per item.

    Raises:
        StudyError: If there is none, or nothing says which of its values are better.
    """
    config = task.config
    metrics = config.metric_list or [{"metric": name} for name in task.aggregation()]
    names = [str(getattr(entry["metric"], "__name__", entry["metric"])) for entry in metrics]
    usable = [name for name in names if name not in _CORPUS_LEVEL]
    directions = task.higher_is_better()
    if task.OUTPUT_TYPE == "loglikelihood_rolling":
        usable, directions = [ROLLING], {ROLLING: True}
    if not usable:
        raise StudyError(
            f"a suite needs a score per item: {config.task!r} has only {', '.join(names)}"
        )
    if metric is not None and metric not in usable:
        raise StudyError(
            f"a suite is decided by one of its task's metrics: {config.task!r} has "
            f"{', '.join(usable)} for an item, found {metric!r}{nearest(metric, usable)}"
        )
    if metric is not None:
        usable = [metric]
    metadata = {k: v for k, v in (config.metadata or {}).items() if k == "harness"}
    if (metric or not metadata) and directions.get(usable[0]) is None:
        raise StudyError(
            f"a suite's metric needs a direction: {config.task!r} does not say whether a higher "
            f"{usable[0]} is better; declare higher_is_better in its metric_list"
        )
    entries = [
        {"metric": name, "higher_is_better": directions.get(name)}
        for name in dict.fromkeys([usable[0], *names])
    ]
    return {"metric_list": entries, "metadata": metadata}


_CORPUS_LEVEL = {
    "f1", "mcc", "bleu", "chrf", "ter", "perplexity", "word_perplexity", "byte_perplexity",
    "bits_per_byte", "brier_score", "likelihood",
}  # fmt: skip


_BEYOND_ONE = {"average_len", "chrf", "eqbench", "percent_parseable", "ter"}
"""Metrics of lm-eval with values beyond 0 and 1 for an item, beside ``…_max`` and ``…_diff``."""


def require_scale(suite: Suite, *, given: bool) -> None:
    """Refuse, before anything is answered, a scale that is known to be wrong or missing.

    Raises:
        StudyError: If the suite's own judge scores between 0 and 1, or its metric does not.
    """
    if given and suite.judge:
        raise StudyError(
            f"the {suite.judge} judge scores between 0 and 1: leave 'scale' of {suite.name!r} out"
        )
    beyond = suite.metric in _BEYOND_ONE or suite.metric.endswith(("_max", "_diff"))
    if beyond and not given and suite.scale == (0.0, 1.0):
        raise StudyError(
            f"a score lies between 0 and 1: {suite.metric} of suite {suite.name!r} does not; give "
            "the suite a 'scale: [low, high]' that holds all its values (the margin is a share of "
            "it)"
        )


def judge(
    task: LmEvalTask,
    suite: Suite,
    items: Sequence[Item],
    instances: Sequence[Sequence[LmEvalInstance]],
    given: Sequence[tuple[Response, ...]],
    databases: str | None,
    *,
    own: OwnJudge | None = None,
) -> list[Verdict]:
    """Return one verdict per item, in order; ``own`` is the judge of a suite that has its own."""
    scorable = [i for i, responses in enumerate(given) if not any(r.missing for r in responses)]
    decided: dict[int, Verdict] = {}
    if own is not None:
        from harness import rating

        asked = [(items[i].doc, given[i]) for i in scorable]
        decided = dict(zip(scorable, rating.judge_by(own, asked), strict=True))
    elif suite.judge:
        decided = _own_judge(suite, items, given, scorable, databases)
    else:
        _filter(task, instances, given, scorable)
        for i in scorable:
            decided[i] = _lm_eval(task, suite, items[i], instances[i], given[i])
    return [decided.get(i) or _unscored(responses) for i, responses in enumerate(given)]


def _unscored(responses: Sequence[Response]) -> Verdict:
    reason = next(reason for response in responses if (reason := response.missing))
    label = reason.partition(":")[0].replace(" ", "_")
    return Verdict(outcome="unscored", score=None, labels=(label,), explanation=reason)


def _own_judge(
    suite: Suite,
    items: Sequence[Item],
    given: Sequence[tuple[Response, ...]],
    scorable: Sequence[int],
    databases: str | None,
) -> dict[int, Verdict]:
    from harness import rating

    assert suite.judge is not None
    asked = [(_with_database_path(items[i].doc, databases), given[i]) for i in scorable]
    declared = {
        "allow": suite.allow or None,
        "similar": suite.similar,
        "measure": suite.measure,
        "decides": suite.metric if suite.judge == "summary" else None,
    }
    settings = {name: value for name, value in declared.items() if value is not None}
    return dict(zip(scorable, rating.judge_all(suite.judge, asked, **settings), strict=True))


def _with_database_path(doc: Mapping[str, object], databases: str | None) -> Mapping[str, object]:
    """Add where a row's database is: on a server, or in a folder, in any of its layouts."""
    name = doc.get("db_id")
    if databases is not None and "://" in databases:
        return {**doc, "database": databases}
    if databases is None or not name or Path(str(name)).name != name:
        return doc
    return {**doc, "database": str(Path(databases) / str(name))}


def _filter(
    task: LmEvalTask,
    instances: Sequence[Sequence[LmEvalInstance]],
    given: Sequence[tuple[Response, ...]],
    scorable: Sequence[int],
) -> None:
    """Put responses into lm-eval's instances and run its filters over them."""
    flat: list[LmEvalInstance] = []
    for i in scorable:
        responses = iter(given[i])
        for instance in instances[i]:
            instance.resps = [
                _lm_eval_response(next(responses)) for _ in range(instance.repeats or 1)
            ]
            instance.filtered_resps = {}
            flat.append(instance)
    if flat:
        for ensemble in task._filters:
            ensemble.apply(flat)


def _lm_eval_response(response: Response) -> object:
    if response.text is not None:
        return response.text
    if response.is_greedy is None:
        return response.logprob
    return (response.logprob, response.is_greedy)


def _lm_eval(
    task: LmEvalTask,
    suite: Suite,
    item: Item,
    instances: Sequence[LmEvalInstance],
    responses: Sequence[Response],
) -> Verdict:
    """Return a verdict by lm-eval's metrics; what it cannot score is unscored, never a zero."""
    metrics: dict[str, float] = {}
    for ensemble in task._filters:
        name = ensemble.name
        suffix = "" if name == item.key.filter else f",{name}"
        try:
            filtered = [instance.filtered_resps[name] for instance in instances]
            found = task.process_results(item.doc, filtered)
        except Exception as error:  # noqa: BLE001 a metric that fails must not lose the run
            reason = f"scorer failed: {type(error).__name__}: {error}"
            return Verdict(
                outcome="unscored", score=None, labels=("scorer_failed",), explanation=reason
            )
        metrics |= {f"{k}{suffix}": float(v) for k, v in found.items() if isinstance(v, Real)}
    if suite.metric == ROLLING:
        size = max(1, len(item.prompt.encode("utf-8", "replace")))
        metrics[ROLLING] = math.exp(min(0.0, _logprobs(responses)[0] / size))
    if not math.isfinite(metrics.get(suite.metric, 0.0)):
        return Verdict(
            outcome="unscored", score=None, labels=("scorer_failed",),
            explanation=f"scorer failed: {suite.metric} is not a number",
        )  # fmt: skip
    metrics = {name: value for name, value in metrics.items() if math.isfinite(value)}
    if suite.metric not in metrics:
        raise StudyError(
            f"suite {suite.name!r} has no metric {suite.metric!r} per item: "
            f"found {', '.join(metrics) or 'none'}"
        )
    if task.OUTPUT_TYPE == "multiple_choice":
        return _choice(task, suite, item, responses, metrics)
    from harness.rating.answer_alone import never_answered

    verdict = _by_score(suite, item, responses, metrics, filtered_text(instances, item))
    return never_answered(verdict, responses, worst=suite.worst)


def filtered_text(instances: Sequence[LmEvalInstance], item: Item) -> str | None:
    """Return what the first filter made of a generated answer."""
    value = instances[0].filtered_resps.get(item.key.filter)
    return value if isinstance(value, str) else None


def _by_score(
    suite: Suite,
    item: Item,
    responses: Sequence[Response],
    metrics: Mapping[str, float],
    answer: str | None,
) -> Verdict:
    score = _share(suite, item, metrics[suite.metric])
    right = suite.is_right(score)
    cut = any(response.finish == "length" for response in responses)
    labels = () if right else (("truncated",) if cut else ("wrong_answer",))
    return Verdict(
        outcome="correct" if right else "incorrect", score=score, labels=labels, answer=answer,
        explanation=f"{suite.metric} is {metrics[suite.metric]:g}", metrics=metrics,
        details={} if right else {"expected": item.target},
    )  # fmt: skip


def _share(suite: Suite, item: Item, value: float) -> float:
    """Return a metric's value as a score.

    Raises:
        StudyError: If it lies outside the suite's scale: cut to it, it would be another's score.
    """
    score = suite.share_of_scale(value)
    if score is None:
        low, high = suite.scale
        raise StudyError(
            f"a score must lie between {low:g} and {high:g}: {suite.metric} of item "
            f"{item.key.doc_hash[:12]} of {suite.name!r} is {value:g}; give the suite a 'scale: "
            "[low, high]' that holds all its values"
        )
    return score


def _choice(
    task: LmEvalTask,
    suite: Suite,
    item: Item,
    responses: Sequence[Response],
    metrics: Mapping[str, float],
) -> Verdict:
    """Return the chosen choice, and how sure the model was of it and of the gold."""
    choices = [str(choice) for choice in task.doc_to_choice(item.doc)]
    lls = _logprobs(responses)[: len(choices)]
    if len(lls) != len(choices):  # several contexts, one continuation each
        choices = [str(i) for i in range(len(lls))]
    sizes = [max(1, _divisor(suite.metric, choice)) for choice in choices]
    ranked = [ll / size for ll, size in zip(lls, sizes, strict=True)]
    chosen = max(range(len(ranked)), key=ranked.__getitem__)
    golds = _golds(task, item, choices)
    metrics = dict(metrics) | _calibration(lls, ranked, golds)
    score = _share(suite, item, metrics[suite.metric])
    right = suite.is_right(score)
    expected = " or ".join(repr(choices[gold]) for gold in golds)
    chose = f"chose {choices[chosen]!r}"
    return Verdict(
        outcome="correct" if right else "incorrect",
        score=score,
        labels=() if right else ("wrong_choice",),
        answer=choices[chosen],
        explanation=chose if right or not expected else f"{chose}; right is {expected}",
        metrics=metrics,
        details={"chosen": chosen, "choices": choices},
    )


def _logprobs(responses: Sequence[Response]) -> list[float]:
    return [response.logprob for response in responses if response.logprob is not None]


def _divisor(metric: str, choice: str) -> int:
    """Return by what a metric divides a choice's log-likelihood."""
    lengths = {"acc_norm": len(choice), "acc_bytes": len(choice.encode())}
    return lengths.get(metric, 1)


def _golds(task: LmEvalTask, item: Item, choices: Sequence[str]) -> list[int]:
    gold = task.doc_to_text(item.doc) if task.multiple_input else task.doc_to_target(item.doc)
    found = []
    for one in gold if isinstance(gold, list) else [gold]:
        index = choices.index(one) if isinstance(one, str) and one in choices else one
        if isinstance(index, int) and 0 <= index < len(choices):
            found.append(index)
    return found


def _calibration(
    lls: Sequence[float], ranked: Sequence[float], golds: Sequence[int]
) -> dict[str, float]:
    """Return the gold's share of probability among the choices, and its margin over the best other.

    ``p_gold`` is the softmax of the log-likelihoods; ``margin`` is in nats (per character or byte
    where the metric normalises by them), positive when the gold is chosen.
    """
    if not golds or len(golds) == len(lls):
        return {}
    top = max(lls)
    weights = [math.exp(ll - top) for ll in lls]
    others = [value for index, value in enumerate(ranked) if index not in golds]
    return {
        "p_gold": sum(weights[gold] for gold in golds) / sum(weights),
        "margin": max(ranked[gold] for gold in golds) - max(others),
    }
