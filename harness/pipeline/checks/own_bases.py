"""Candidates on a base of their own: the study as it would be on it, its suites read by it.

Items stay those of the study: the same rows, few-shot draws and judges. Prompts are rendered by
each side's own chat template and tokenizer, which is said wherever a verdict is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ComparisonError, StudyError
from harness.files import weights_sha256
from harness.pipeline.answers.ask import part
from harness.records import BASE, Arm, ArmBase, ItemKey
from harness.study import VLLM, CandidateSection, Study
from harness.suites.tokenize import tokens_needed

if TYPE_CHECKING:
    from harness.engine import LoadedSuite


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnBase:
    """A candidate's own base.

    ``study`` is the study on it with the candidate alone, ``loaded`` the suites as it reads them,
    ``fits`` how many tokens its context holds beside the candidate's virtual ones.
    """

    study: Study
    loaded: Sequence["LoadedSuite"]
    fits: int

    @property
    def record(self) -> ArmBase:
        """What is kept of it with an arm."""
        path = Path(self.study.model_path)
        known = weights_sha256(path) if path.is_dir() else ""
        return ArmBase(
            title=self.study.base.title, path=self.study.model_path, weights_sha256=known
        )


def check_own_bases(study: Study, *, until_decided: bool) -> None:
    """Refuse what cannot be compared across bases, before anything is loaded.

    Raises:
        StudyError: Naming the candidate, what is in the way, and the remedy.
    """
    for candidate in study.candidates:
        if candidate.base is None:
            continue
        told = f"candidate {candidate.name!r} has a base of its own"
        if study.base.backend == VLLM:
            raise StudyError(
                f"{told}, and one vLLM serves the adapters of one base: leave 'backend: vllm' out, "
                "so that both are loaded here one after the other"
            )
        if study.base.elsewhere:
            raise StudyError(
                f"{told}, and the study's base answers elsewhere: name both as endpoints "
                "('backend' of the candidate), or load both here"
            )
        if until_decided:
            raise StudyError(
                f"{told}: bases are loaded one after the other, so that no verdict can end early; "
                "leave --until-decided out"
            )
        if candidate.form_of:
            continue  # its token ids are compared
        cut = [suite.name for suite in study.suites if suite.truncation != "none"]
        if cut:
            raise StudyError(
                f"{told}, by which prompts have other lengths: suite {cut[0]!r} would be cut "
                "at other places; leave its 'truncation' out"
            )


def check_another_model(study: Study, own: Study, candidate: CandidateSection) -> None:
    """Refuse an own base that is the study's base; a form may be one that is loaded otherwise.

    Raises:
        StudyError: If weights, tokenizer, settings and precision are the same.
    """
    from harness.engine import load_tokenizer
    from harness.models.fingerprint import base_identity

    if candidate.form_of:
        return
    one, other = (
        base_identity(each.model_path, each.base, load_tokenizer(each.model_path, each.base))
        for each in (study, own)
    )
    if one.weights == other.weights and one.tokenizer == other.tokenizer:
        raise StudyError(
            f"the own base of candidate {candidate.name!r} is the study's base, "
            f"{study.base.title}: leave its 'base' out"
        )


def same_items(
    own: Sequence["LoadedSuite"], judging: Sequence["LoadedSuite"]
) -> list["LoadedSuite"]:
    """Return suites as an own base reads them, with the items that judge.

    Raises:
        ComparisonError: If one of them is missing.
    """
    found = []
    for mine, theirs in zip(own, judging, strict=True):
        place_of = {item.key: place for place, item in enumerate(mine.items)}
        missing = [item.key for item in theirs.items if item.key not in place_of]
        if missing:
            raise ComparisonError(
                f"both bases must be asked the same items: {len(missing)} of suite "
                f"{mine.suite.name!r} are not the same rows for both"
            )
        found.append(part(mine, [place_of[item.key] for item in theirs.items]))
    return found


def too_long(
    title: str, loaded: Sequence["LoadedSuite"], fits: int
) -> Iterator[tuple[ItemKey, str]]:
    """Yield the items that do not fit a base, with why they are unscored for every arm."""
    for suite in loaded:
        for request in suite.requests:
            needed = tokens_needed(request)
            if request.kind != "loglikelihood_rolling" and needed > fits:
                yield (
                    request.item,
                    f"too long: {needed} tokens where {fits} fit the context of {title}",
                )


def other_model(section: CandidateSection, own: OwnBase) -> Arm:
    """Return the arm of a candidate that is its own base, as it is."""
    return Arm(name=section.name, method="another model", note=section.note, base=own.record)


def fingerprints_of(
    study: Study,
    arms: Sequence[Arm],
    own: Mapping[str, OwnBase],
    loaded: Sequence["LoadedSuite"],
) -> dict[str, str]:
    """Return every arm's fingerprint; see `harness.engine.arm_fingerprints`."""
    from harness.engine import arm_fingerprints

    shared = arm_fingerprints(study, [arm for arm in arms if arm.name not in own], suites=loaded)
    for arm in arms:
        if arm.name in own:
            base = own[arm.name]
            found = arm_fingerprints(base.study, [_on_its_base(arm)], suites=base.loaded)
            shared[arm.name] = found[_on_its_base(arm).name]
    return {arm.name: shared[arm.name] for arm in arms}


def _on_its_base(arm: Arm) -> Arm:
    """Return what an arm is called by the engine of its own base."""
    return arm if arm.path is not None else replace(arm, name=BASE)
