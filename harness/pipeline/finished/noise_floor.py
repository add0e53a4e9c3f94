"""Base against base: what the gate decides, and how many answers change, without a candidate."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from harness import report
from harness.analysis import pair
from harness.analysis.arm_scores import arm_score
from harness.analysis.decisions import compare_pairs, settle
from harness.analysis.looked_at import FLIPS
from harness.analysis.run_result import result_of
from harness.files import write_text
from harness.pipeline.answers.ask import AnswerSession, part
from harness.pipeline.answers.join_endpoints import open_arms
from harness.pipeline.plan import PlannedRun
from harness.records import BASE, Answers, Arm, Comparison, Result
from harness.store import AnswerStore
from harness.store.run_folder import RunFolder
from harness.suites.dialogue_turns import followed

if TYPE_CHECKING:
    from harness.engine import LoadedSuite

AGAIN = "base again"
"""What the second scoring of the base is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What moved in one suite between two scorings of the same model.

    ``flips`` counts the items that changed between right and wrong, ``texts`` the generated answers
    that differ, ``largest`` is the largest difference of a log-likelihood, in nats.
    """

    suite: str
    items: int
    flips: int
    texts: int
    largest: float


def noise_floor(planned: PlannedRun) -> tuple[Result, tuple[Noise, ...]]:
    """Score the base twice, in batches made up differently, and decide as for a candidate.

    The second time the items come in reverse and every other one apart, so that other prompts share
    a batch. Both sets of answers are stored; no candidate is needed. The result and the noise
    are written to ``aa/`` in the run folder.
    """
    with planned.folder.held():
        return _noise_floor(planned)


def _noise_floor(planned: PlannedRun) -> tuple[Result, tuple[Noise, ...]]:
    from harness.engine import arm_fingerprints

    planned.folder.claim(planned.study)
    store = AnswerStore(planned.folder.answers)
    base = Arm(name=BASE, method="untuned")
    comparisons, noise, scores = [], [], []
    gate = planned.study.gate.rates
    total = 2 * sum(len(loaded.requests) for loaded in planned.loaded)
    with planned.progress.task("answer twice", total) as advance:
        fingerprints = arm_fingerprints(planned.study, [base], suites=planned.loaded)
        answerer = open_arms(planned, (base,), store, fingerprints, planned.loaded)
        session = AnswerSession(answerer, store, advance)
        for suite, loaded in zip(planned.suites, planned.loaded, strict=True):
            first, second = session.answers(BASE, loaded), _again(session, loaded)
            samples = loaded.samples(BASE, first), loaded.samples(AGAIN, second)
            found = compare_pairs(AGAIN, suite, pair(*samples, suite), gate)
            comparisons.append(found)
            noise.append(_noise(found, first, second))
            scores += [arm_score(s[0].arm, suite, s) for s in samples]
    result = result_of(
        settle(comparisons, gate),
        study=f"{planned.study.name}, base against base",
        base_model=planned.study.base.title,
        arms=(base, Arm(name=AGAIN, method="untuned", note="the same model in other batches")),
        suites=planned.suites,
        gate=gate,
        scores=scores,
        seed=planned.study.seed,
        notes=(*planned.notes, *session.answerer.notes),
    )
    result = replace(result, recommendation="", recommended=None)  # there is nothing to ship
    _write(planned.folder, result, noise)
    return result, tuple(noise)


def _again(session: AnswerSession, loaded: "LoadedSuite") -> Answers:
    """Let the base answer anew; stored apart from the answers that comparisons use."""
    fingerprint = f"{session.answerer.fingerprint(BASE)}:again"
    known: Answers = {}
    backwards = range(len(loaded.items))[::-1]
    for places in (backwards[::2], backwards[1::2]):
        requests = part(loaded, places).requests
        while missing := followed(requests, known, partial(session.store.get, fingerprint)):
            for batch in session.answerer.answer(BASE, missing):
                stored = session.store.put(fingerprint, batch)
                known.update({request.key: response for request, response in stored})
    return known


def _noise(comparison: Comparison, first: Answers, second: Answers) -> Noise:
    both = [(response, second[key]) for key, response in first.items()]
    return Noise(
        suite=comparison.suite.name,
        items=comparison.items,
        flips=sum(comparison.counts.get(name, 0) for name in FLIPS),
        texts=sum(one.text != two.text for one, two in both),
        largest=max(
            (
                abs(one.logprob - two.logprob)
                for one, two in both
                if one.logprob is not None and two.logprob is not None
            ),
            default=0.0,
        ),
    )


def _write(folder: RunFolder, result: Result, noise: list[Noise]) -> None:
    report.write(result, folder.aa)
    rows: list[Mapping[str, object]] = [asdict(each) for each in noise]
    write_text(folder.aa / "noise.json", json.dumps(rows, indent=2) + "\n")
