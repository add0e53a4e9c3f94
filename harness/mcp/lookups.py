"""What a server says about runs: status, verdict, report, and why an item was lost."""

from collections.abc import Sequence
from pathlib import Path

from harness.analysis import plain, shown_text, target_text
from harness.display_text import clip, visible
from harness.errors import StudyError, nearest
from harness.pipeline import conclude
from harness.pipeline.finished import compare_scores
from harness.records import Comparison, Pair, Result, Sample
from harness.report.gate_json import gate_json
from harness.report.lost_items import lost_item
from harness.report.markdown import markdown
from harness.store.run_folder import RunFolder

Told = dict[str, object]
"""What a tool gives back: a JSON object."""

LONGEST = 4_000
"""Characters of one text that are told."""
SUMMARY = 12_000
"""Bytes of a report that are told."""
MOST_ITEMS = 20
"""Lost items that are listed at once."""


def status(run: Path) -> Told:
    """Say whose run a folder holds, and which arms are scored on which suites."""
    lock = RunFolder(run).read_lock()
    if lock is None:
        raise StudyError(f"a run folder must hold a study's lock: {run.name} does not; run first")
    suites = list(lock.declared.suites) if lock.declared else []
    scored = {arm.name: sorted(lock.scored.get(arm.name, {})) for arm in lock.arms}
    return {
        "study": lock.study,
        "base": lock.base,
        "suites": suites,
        "scored": scored,
        "finished": bool(scored) and all(set(suites) <= set(done) for done in scored.values()),
        "files": sorted(path.name for path in run.iterdir() if not path.name.startswith(".")),
    }


def finished(run: Path) -> Result:
    """Decide a finished run again from its samples, and write nothing."""
    _, result = conclude.reopen(RunFolder(run), remember=False)
    return result


def gate(run: Path) -> Told:
    """Return what ``gate.json`` of a finished run holds."""
    return gate_json(conclude.gate(RunFolder(run), remember=False))


def compare(base: Path, tuned: Path, *, margin: float | None, metric: str | None) -> Told:
    """Decide two sets of scores."""
    return gate_json(compare_scores.compare(base, tuned, margin=margin, metric=metric))


def summary(run: Path) -> str:
    """Return a finished run's report, as far as a reader takes it in at once."""
    return markdown(finished(run), budget=SUMMARY)


def lost_items(run: Path, suite: str, candidate: str) -> Told:
    """List items that the base had right and a candidate has wrong, with what `why_lost` needs."""
    comparison = _comparison(finished(run), suite, candidate)
    lost = [pair for pair in comparison.pairs if pair.transition == "lost"]
    return {
        "candidate": comparison.candidate,
        "suite": comparison.suite.name,
        "items": len(comparison.pairs),
        "lost": len(lost),
        "first": [
            {
                "item": pair.base.item.key.doc_hash,
                "question": said.question,
                "because": said.because,
            }
            for pair in lost[:MOST_ITEMS]
            for said in (lost_item(pair),)
        ],
    }


def why_lost(run: Path, suite: str, item: str, candidate: str) -> Told:
    """Say what an item asked, what was wanted, what each arm answered, and its judge's evidence."""
    comparison = _comparison(finished(run), suite, candidate)
    pair = _pair(comparison, item)
    return {
        "candidate": comparison.candidate,
        "suite": comparison.suite.name,
        "item": pair.base.item.key.doc_hash,
        "transition": pair.transition,
        "prompt": _told(pair.base.item.prompt),
        "wanted": _told(target_text(pair.base.item)),
        "because": lost_item(pair).because,
        "arms": {"base": _answer(pair.base), comparison.candidate: _answer(pair.tuned)},
    }


def _listed(pair: Pair) -> Told:
    said = lost_item(pair)
    hashed = pair.base.item.key.doc_hash
    return {"item": hashed, "question": said.question, "because": said.because}


def _comparison(result: Result, suite: str, candidate: str) -> Comparison:
    candidates = list(dict.fromkeys(each.candidate for each in result.comparisons))
    if not candidate and len(candidates) > 1:
        raise StudyError(f"this run has several candidates: name one of {', '.join(candidates)}")
    name = candidate or candidates[0]
    found = {each.suite.name: each for each in result.comparisons if each.candidate == name}
    if not found:
        raise StudyError(f"no candidate {name!r} in this run{nearest(name, candidates)}")
    if suite not in found:
        raise StudyError(f"no suite {suite!r} in this run{nearest(suite, found)}")
    return found[suite]


def _pair(comparison: Comparison, item: str) -> Pair:
    """Find an item by its row's id, or by its hash or the start of one."""
    named = [pair for pair in comparison.pairs if str(pair.base.item.doc.get("id", "")) == item]
    hashed = [p for p in comparison.pairs if p.base.item.key.doc_hash.startswith(item)]
    found: Sequence[Pair] = named or hashed
    if not item or len(found) != 1:
        raise StudyError(
            f"an item is named by its row's id or by its hash: {item!r} fits {len(found)} of "
            f"{len(comparison.pairs)} items of {comparison.suite.name}; 'lost_items' lists hashes"
        )
    return found[0]


def _answer(sample: Sample) -> Told:
    verdict = sample.verdict
    return {
        "answer": _told(shown_text(sample)),
        "read_as": _told(verdict.answer or ""),
        "outcome": verdict.outcome,
        "score": verdict.score,
        "causes": [plain(label) for label in verdict.labels],
        "explanation": _told(verdict.explanation),
        "measures": dict(verdict.metrics),
        "evidence": {name: _told(str(value)) for name, value in verdict.details.items()},
    }


def _told(text: str) -> str:
    return clip(visible(text), LONGEST)
