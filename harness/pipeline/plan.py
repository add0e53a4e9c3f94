"""Plan a run: check the whole study before anything is written, trained or generated."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, cast

from harness.errors import StudyError
from harness.models.hub import check_hub
from harness.pipeline.candidates import CandidatePlanner, PlannedCandidate
from harness.pipeline.checks.choosing import set_apart
from harness.pipeline.checks.installed import check_installed
from harness.pipeline.checks.must_pass import must_pass
from harness.pipeline.checks.own_bases import (
    OwnBase,
    check_another_model,
    check_own_bases,
    same_items,
    too_long,
)
from harness.pipeline.checks.shipped_forms import check_forms, check_same_prompts
from harness.pipeline.checks.suite_rows import check_databases, check_suite_rows
from harness.pipeline.progress import Progress, Silent
from harness.records import BASE, ItemKey, Suite
from harness.store.run_folder import RunFolder
from harness.study import (
    BUILTIN_PREFIX,
    CandidateSection,
    Study,
    SuiteSection,
    resolve_model,
)

if TYPE_CHECKING:
    from harness.engine import LoadedSuite
    from harness.models.protocols import PretrainedTokenizer
    from harness.models.scoring_dtype import ScoringDtype


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A checked study: everything that can be refused has been, and nothing is written yet.

    ``loaded`` are the suites with the items that judge, ``choosing`` those with the items that
    choose checkpoints, ``set_apart`` says which items judge nothing and why, ``precision`` what the
    weights are scored in and why. ``own`` are the bases of candidates that have their own, by
    candidate (and its forms), ``unscored`` the items that do not fit one of the bases, with the
    reason.
    """

    study: Study
    folder: RunFolder
    candidates: tuple[PlannedCandidate, ...]
    loaded: Sequence["LoadedSuite"]
    progress: Progress = field(default_factory=Silent)
    allow_identical: bool = False
    until_decided: bool = False
    choosing: Mapping[str, "LoadedSuite"] = field(default_factory=dict)
    set_apart: tuple[str, ...] = ()
    must_pass: Mapping[str, Sequence[ItemKey]] = field(default_factory=dict)
    precision: "ScoringDtype | None" = None
    own: Mapping[str, OwnBase] = field(default_factory=dict)
    unscored: Mapping[ItemKey, str] = field(default_factory=dict)

    @property
    def suites(self) -> tuple[Suite, ...]:
        """The suites with the margins that hold in this study."""
        return tuple(
            replace(loaded.suite, margin=self._margin(section, loaded.suite))
            for section, loaded in zip(self.study.suites, self.loaded, strict=True)
        )

    def _margin(self, section: SuiteSection, suite: Suite) -> float:
        return section.margin or self.study.gate.margin or suite.margin

    @property
    def items(self) -> dict[str, str]:
        """The sha256 of each suite's items and token ids."""
        own = {
            f"{loaded.suite.name} as {name} reads it": _items_sha256(loaded)
            for name, base in self.own.items()
            for loaded in base.loaded
        }
        return {loaded.suite.name: _items_sha256(loaded) for loaded in self.loaded} | own

    def study_of(self, candidate: str) -> Study:
        """The study on a candidate's own base, where it has one; else the study."""
        return self.own[candidate].study if candidate in self.own else self.study

    def read_by(self, arm: str) -> Sequence["LoadedSuite"]:
        """The suites as an arm gets them."""
        return self.own[arm].loaded if arm in self.own else self.loaded

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the suites' prompts and items."""
        precision = self.precision.notes if self.precision else ()
        of_suites = (note for loaded in self.loaded for note in loaded.notes)
        return (*of_suites, *self.set_apart, *precision)

    @property
    def arms(self) -> tuple[str, ...]:
        """Everything that answers, the base first."""
        names = ((one.name, *one.forms) for one in self.candidates)
        return (BASE, *chain.from_iterable(names))


def plan(
    study: Study,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
    allow_identical: bool = False,
    until_decided: bool = False,
) -> PlannedRun:
    """Check the whole study and read its data, before anything is written or trained.

    Raises:
        StudyError: If a method, setting, suite, file or folder is not what the study needs.
        DataError: If a data file is malformed; the message names the line.
    """
    folder = RunFolder(out or Path("runs") / study.name)
    folder.check(study)
    check_own_bases(study, until_decided=until_decided)
    check_forms(study, until_decided=until_decided)
    check_installed(study)
    check_hub(study)
    precision = _in_one_precision(study, folder)
    if precision:
        study = _scored_in(study, precision.dtype)
    study = _judge_by_path(_dated(study, folder))
    if until_decided:
        _check_early_end(study)
    _check_suite_paths(study)
    check_suite_rows(study)
    progress = progress or Silent()
    planners = _planners(study, folder)
    with progress.task("read the rows"):
        candidates = [
            planners[recipe or one.name].plan(one, seed=seed, recipe=recipe)
            for one, seed, recipe in _one_per_seed(study)
        ]
    virtual = max((one.virtual_tokens for one in candidates if not one.section.base), default=0)
    loaded = _load_suites(study, progress, virtual, folder.measures())
    required = must_pass(study, loaded)
    apart = set_apart(study, loaded, required)
    own = _own_bases(planners, candidates, apart.judging, progress, folder)
    with progress.task("check the rows"):
        candidates = [
            planners[one.origin].check_with_suites(one, read, folder.path)
            for one in candidates
            for read in (own[one.name].loaded if one.name in own else apart.judging,)
        ]
    return PlannedRun(
        study=study,
        folder=folder,
        candidates=tuple(candidates),
        loaded=apart.judging,
        choosing=apart.choosing,
        set_apart=apart.notes,
        progress=progress,
        allow_identical=allow_identical,
        until_decided=until_decided,
        must_pass=required,
        precision=precision,
        own=own,
        unscored=_beyond_a_context(study, apart.judging, virtual, own) if own else {},
    )


def _check_early_end(study: Study) -> None:
    if study.data.overlap == "exclude":
        raise StudyError(
            "an early end counts on every item: 'data: overlap: exclude' leaves some out; use warn "
            "or refuse, or all items"
        )
    if any(suite.at_least is not None for suite in study.suites):
        raise StudyError(
            "a goal is held against every item: leave 'at_least' out where verdicts may end early, "
            "or ask all items"
        )


def _planners(study: Study, folder: RunFolder) -> dict[str, CandidatePlanner]:
    """Return what plans each candidate of the study file, on its own base where it has one."""
    from harness.models.scoring_dtype import scoring_dtype

    shared = CandidatePlanner(study)
    planners = {}
    for candidate in study.candidates:
        planners[candidate.name] = shared
        if candidate.base is not None:
            own = study.on_base_of(candidate)
            check_hub(own)
            own = _dated(_scored_in(own, scoring_dtype(own.base).dtype), folder)
            check_another_model(study, own, candidate)
            planners[candidate.name] = CandidatePlanner(own)
    return planners


def _own_bases(
    planners: Mapping[str, CandidatePlanner],
    candidates: Sequence[PlannedCandidate],
    judging: Sequence["LoadedSuite"],
    progress: Progress,
    folder: RunFolder,
) -> dict[str, OwnBase]:
    """Return the bases of candidates that have their own, also by the names of their forms.

    Raises:
        ComparisonError: If one is to be a form of a candidate and reads other prompts.
    """
    with_base = [one for one in candidates if one.section.base]
    own = {
        one.name: _own_base(planners[one.origin].study, one, judging, progress, folder)
        for one in with_base
    }
    own |= {form: own[one.name] for one in with_base for form in one.forms}
    for one in candidates:
        if origin := one.section.form_of:
            mine, theirs = (own[n].loaded if n in own else judging for n in (one.name, origin))
            check_same_prompts(one.section, mine, theirs)
    return own


def _own_base(
    own: Study,
    candidate: PlannedCandidate,
    judging: Sequence["LoadedSuite"],
    progress: Progress,
    folder: RunFolder,
) -> OwnBase:
    """Let a candidate's own base read the suites; the items stay those that judge."""
    loaded = _load_suites(own, progress, candidate.virtual_tokens, folder.measures())
    return OwnBase(
        study=own,
        loaded=same_items(loaded, judging),
        fits=_context(own, loaded) - candidate.virtual_tokens,
    )


def _context(study: Study, loaded: Sequence["LoadedSuite"]) -> int:
    from harness.engine import context_length

    tokenizer = cast("PretrainedTokenizer", loaded[0].tokenizer)
    return context_length(study.model_path, study.base, tokenizer)


def _beyond_a_context(
    study: Study,
    judging: Sequence["LoadedSuite"],
    virtual_tokens: int,
    own: Mapping[str, OwnBase],
) -> dict[ItemKey, str]:
    """Return the items that one of several bases cannot read: no arm is scored on them."""
    found = dict(too_long(study.base.title, judging, _context(study, judging) - virtual_tokens))
    for base in own.values():
        found |= too_long(base.study.base.title, base.loaded, base.fits)
    return found


def _in_one_precision(study: Study, folder: RunFolder) -> "ScoringDtype | None":
    """Return the precision of a run's whole life, None where its base answers elsewhere.

    Raises:
        ComparisonError: If an earlier run of the folder was scored in another one.
    """
    from harness.models.scoring_dtype import scoring_dtype

    if study.base.elsewhere:
        return None
    found = scoring_dtype(study.base)
    folder.check_dtype(found)
    return found


def _scored_in(study: Study, dtype: str) -> Study:
    return study.model_copy(update={"base": study.base.model_copy(update={"dtype": dtype})})


def _dated(study: Study, folder: RunFolder) -> Study:
    """Fix the date that the base's chat template writes, if it does, for the run's whole life."""
    from harness.engine import load_tokenizer
    from harness.models.load_model import writes_date

    base = study.base
    if base.date or not base.model or not writes_date(load_tokenizer(study.model_path, base)):
        return study
    day = folder.day()
    return study.model_copy(update={"base": base.model_copy(update={"date": day})})


def _judge_by_path(study: Study) -> Study:
    """Name a judge that is a folder here by its whole path: it is asked from the run folder."""
    review = study.review
    judge = review.judge if review else None
    if review is None or judge is None or not judge.model or judge.model.startswith(BUILTIN_PREFIX):
        return study
    found = judge.model_copy(update={"model": resolve_model(judge.model, study.folder)})
    return study.model_copy(update={"review": review.model_copy(update={"judge": found})})


def _one_per_seed(study: Study) -> Iterator[tuple[CandidateSection, int, str]]:
    """Yield each candidate with its training seed and recipe; one with ``seeds`` once for each."""
    for candidate in study.candidates:
        if not candidate.seeds:
            yield candidate, study.seed, ""
        for one, seed in zip(candidate.per_seed(), candidate.seeds, strict=False):
            yield one, seed, candidate.name


def _check_suite_paths(study: Study) -> None:
    for section in study.suites:
        places = {key: getattr(section, key) for key in ("folder", "data", "databases")}
        for key, value in places.items():
            if value and "://" not in value and not study.path(value).exists():
                raise StudyError(
                    f"suite {section.name!r} needs its {key}: {study.path(value)} does not exist"
                )


def _load_suites(
    study: Study, progress: Progress, virtual_tokens: int, measures: Mapping[str, str]
) -> list["LoadedSuite"]:
    """Load every suite, with prompts that fit the context beside the candidates' virtual tokens.

    ``measures`` are what an earlier run of the same folder declared, by suite.
    """
    from harness.engine import context_length, load_suite, load_tokenizer
    from harness.engine.remote.endpoints import check_endpoints, substitute_tokenizer
    from harness.suites.thought_budget import Thinking

    with progress.task("read the suites", len(study.suites)) as advance:
        tokenizer = substitute_tokenizer(study) or load_tokenizer(study.model_path, study.base)
        fits = max_tokens = None
        if not study.base.elsewhere:
            fits = context_length(study.model_path, study.base, tokenizer)
            max_tokens = fits - virtual_tokens
        loaded = []
        for done, section in enumerate(study.suites):
            advance(done=done, note=section.name)
            loaded.append(
                load_suite(
                    section,
                    engine_tokenizer=tokenizer,
                    template=study.base.template,
                    seed=study.seed,
                    folder=study.folder,
                    max_tokens=max_tokens,
                    measure=measures.get(section.name),
                    thinking=Thinking(study.base.chat_template_kwargs, study.thinking_tokens),
                )
            )
        check_databases(loaded)
        check_endpoints(study, loaded)
        if fits is not None:
            _check_context(loaded, fits)
    return loaded


def _check_context(loaded: Sequence["LoadedSuite"], fits: int) -> None:
    """Refuse a suite of which not one prompt fits the base's context."""
    for suite in loaded:
        shortest = min(len(r.context_ids) + len(r.continuation_ids) for r in suite.requests)
        if shortest > fits:
            raise StudyError(
                f"suite {suite.suite.name!r} does not fit the base: its shortest prompt has "
                f"{shortest} tokens and the context holds {fits}; take a base with a longer context"
            )


def _items_sha256(loaded: "LoadedSuite") -> str:
    lines = sorted(f"{item.key}:{item.prompt_hash}" for item in loaded.items)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
