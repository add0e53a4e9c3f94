"""Hand a finished run's candidate over: weights, tokenizer, and a model card with its scores."""

from pathlib import Path

from harness import report
from harness.errors import StudyError, nearest
from harness.files import whole_folder, write_text
from harness.models.hub_id import hub_id
from harness.pipeline.conclude import reopen
from harness.store.run_folder import RunFolder
from harness.training import export_weights


def export(
    folder: RunFolder,
    candidate: str,
    out: Path,
    *,
    form: str | None = None,
    licence: str = "unknown",
    trust_remote_code: bool = False,
) -> str:
    """Write a candidate into a folder that the hub, vLLM and ``transformers serve`` can read.

    The folder is there when everything in it is.

    Args:
        folder: A finished run.
        candidate: Its name in the study.
        out: Where to; must be empty or new.
        form: ``adapter`` (as it is), ``merged`` into its base, or ``gguf`` (merged, and converted
            with llama.cpp's own tool); as it is by default.
        licence: The hub's identifier of the licence, for the model card.
        trust_remote_code: Run code that comes with the base, where it is needed to merge; the
            run's lock cannot allow it.

    Returns:
        What was written: ``adapter``, ``merged`` or ``model``.

    Raises:
        StudyError: If there is no such candidate, its weights are gone, or the folder is not empty.
        ModelError: If it cannot be merged or converted.
    """
    study, result = reopen(folder)
    arms = {arm.name: arm for arm in result.arms if arm.path}
    for arm in result.arms:
        if arm.name == candidate and arm.base and not arm.path:
            raise StudyError(f"candidate {candidate!r} is {arm.base.title} as it is: take that one")
    if candidate not in arms:
        raise StudyError(f"no candidate {candidate!r} in {folder.path}{nearest(candidate, arms)}")
    arm = arms[candidate]
    source = folder.weights(arm)
    own = next((c for c in study.candidates if arm.base and candidate in c.arms), None)
    study = study.on_base_of(own) if own else study
    model = arm.base.path if arm.base else folder.base_path(study)
    written = export_weights.form_of(source, merge=form not in (None, "adapter"))
    with whole_folder(out) as part:
        if written == "merged":
            base = study.base.model_copy(update={"trust_remote_code": trust_remote_code})
            export_weights.merge(source, part, model=model, base=base)
        else:
            export_weights.copy(source, part, base_model=study.base.model)
        shown = report.without_texts(result)  # a card is published
        base_id = hub_id(study.base.model, model)
        card = report.model_card(shown, candidate, form=written, base_id=base_id, licence=licence)
        write_text(part / "README.md", card)
    if form == "gguf":
        export_weights.gguf(out, trust_remote_code=trust_remote_code)
    return written
