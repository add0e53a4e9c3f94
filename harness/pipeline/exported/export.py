"""Hand a finished run's candidate over: weights, tokenizer, and a model card with its scores."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness import report
from harness.errors import ComparisonError, StudyError, nearest
from harness.files import whole_folder, write_text
from harness.models.hub_id import hub_id
from harness.pipeline.conclude import reopen
from harness.pipeline.exported.gguf_answers import GgufAnswers, check_gguf
from harness.pipeline.exported.same_answers import (
    answers_of,
    check_written,
    choose_items,
    count_same,
)
from harness.records import FORM_WORDS, Arm, Result
from harness.store.run_folder import RunFolder
from harness.study import AS_IT_IS, Study
from harness.training import export_weights

if TYPE_CHECKING:
    from harness.models.adapter_folder import AdapterFolder

GGUF = "gguf"
ROUNDED_ALONG = ("8bit",)
"""Forms that round what they read to 8 bits on the way, by which two answers may differ with what
they are batched with: the written folder is held to what was made, asked in the same batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written.

    ``form`` is ``adapter``, ``model`` (whole weights as they were), or one of `FORM_WORDS`;
    ``scored_as`` the arm of the run whose scores are this form's, None where it was not scored;
    ``checked`` how many items the written folder answered again, 0 for a copy, which has the
    same sha256; ``as_scored`` how many of these it answered as the run did, None where the form was
    not scored; ``gguf`` says the same of a GGUF file, which is made of the folder.
    """

    form: str
    scored_as: str | None
    checked: int = 0
    as_scored: int | None = None
    gguf: GgufAnswers | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A candidate of a run: its arm and folder, and the study and model that it starts from."""

    arm: Arm
    folder: "AdapterFolder"
    study: Study
    model: str


def export(
    folder: RunFolder,
    candidate: str,
    out: Path,
    *,
    form: str | None = None,
    licence: str = "unknown",
    trust_remote_code: bool = False,
) -> Exported:
    """Write a candidate into a folder that the hub, vLLM and ``transformers serve`` can read.

    The folder is there when everything in it is, and when it answers as what was scored.

    Args:
        folder: A finished run.
        candidate: Its name in the study, or that of a form that the run scored.
        out: Where to; must be empty or new.
        form: ``adapter`` (as it is), ``merged`` into its base, ``4bit`` or ``8bit`` of that, or
            ``gguf`` (merged, and converted with llama.cpp's own tool); as it is by default.
        licence: The hub's identifier of the licence, for the model card.
        trust_remote_code: Run code that comes with the base, where it is needed to merge; the
            run's lock cannot allow it.

    Raises:
        StudyError: If there is no such candidate, its weights are gone, or the folder is not empty.
        ModelError: If it cannot be merged, quantized or converted.
        ComparisonError: If what was written does not answer as what was scored.
    """
    study, result = reopen(folder)
    arm = _arm(folder, result, candidate)
    if arm.form:
        if form not in (None, arm.form):
            raise StudyError(
                f"{candidate!r} is {arm.note}: leave --as out, or name {arm.form_of!r}"
            )
        form, arm = arm.form, _arm(folder, result, arm.form_of)
    source = _source(folder, study, arm)
    if form == AS_IT_IS and not source.folder.is_adapter:
        raise StudyError(f"candidate {arm.name!r} is a whole model, not an adapter: leave --as out")
    made = "merged" if form == GGUF else form if form in FORM_WORDS else None
    if form == GGUF and not source.folder.is_adapter:
        made = None  # whole already
    with whole_folder(out) as part:
        exported = (
            _made(folder, result, source, made, part, trust=trust_remote_code)
            if made
            else _copied(source, part)
        )
        shown = report.without_texts(result)  # a card is published
        card = report.model_card(
            shown,
            arm.name,
            form=exported.form,
            scored_as=exported.scored_as,
            base_id=hub_id(source.study.base.model, source.model),
            licence=licence,
        )
        write_text(part / "README.md", card)
    if form == GGUF:
        file = export_weights.gguf(out, trust_remote_code=trust_remote_code)
        asked = choose_items(folder, source.study, arm.name, tokenizer_of=source.model)
        exported = replace(exported, gguf=check_gguf(file, source.study, source.model, asked))
    return exported


def _arm(folder: RunFolder, result: Result, candidate: str) -> Arm:
    arms = {arm.name: arm for arm in result.arms if arm.path}
    for arm in result.arms:
        if arm.name == candidate and arm.base and not arm.path:
            raise StudyError(f"candidate {candidate!r} is {arm.base.title} as it is: take that one")
    if candidate not in arms:
        raise StudyError(f"no candidate {candidate!r} in {folder.path}{nearest(candidate, arms)}")
    return arms[candidate]


def _source(folder: RunFolder, study: Study, arm: Arm) -> _Source:
    from harness.models.adapter_folder import read_adapter_folder

    own = next((c for c in study.candidates if arm.base and arm.name in c.arms), None)
    return _Source(
        arm=arm,
        folder=read_adapter_folder(folder.weights(arm)),
        study=study.on_base_of(own) if own else study,
        model=arm.base.path if arm.base else folder.base_path(study),
    )


def _copied(source: _Source, part: Path) -> Exported:
    """Copy weights as they are, and hold the copy to its source by sha256."""
    from harness.models.adapter_folder import read_adapter_folder

    export_weights.copy(source.folder.path, part, base_model=source.study.base.model)
    if read_adapter_folder(part).identity != source.folder.identity:
        raise ComparisonError(
            f"a copy must be what was scored: {source.folder.path} changed while it was copied; "
            "export it again"
        )
    form = AS_IT_IS if source.folder.is_adapter else "model"
    return Exported(form=form, scored_as=source.arm.name)


def _made(
    folder: RunFolder, result: Result, source: _Source, form: str, part: Path, *, trust: bool
) -> Exported:
    """Make a form as it is made for scoring, write it, and let the written folder answer again."""
    from harness.engine import Engine
    from harness.models.merged_form import write_form

    base = source.study.base.model_copy(update={"trust_remote_code": trust})
    study = source.study.model_copy(update={"base": base})
    forms = (a for a in result.arms if a.form_of == source.arm.name and a.form == form)
    scored = next(forms, None)
    asked = choose_items(
        folder, study, scored.name if scored else source.arm.name, tokenizer_of=source.model
    )
    write_form(source.folder.path, form, part, model=source.model, base=base)
    expected = asked.answers
    if scored is None or form in ROUNDED_ALONG:
        made = Engine.of_form(base, source.model, source.folder.path, form)
        expected = answers_of(made, asked.requests)
        del made
    now = check_written(part, study, asked, expected)
    return Exported(
        form=form,
        scored_as=scored.name if scored else None,
        checked=len(asked.samples),
        as_scored=count_same(asked, now) if scored else None,
    )
