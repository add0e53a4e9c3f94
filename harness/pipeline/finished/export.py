"""Hand a finished run's candidate over: weights, tokenizer, and a model card with its scores."""

from pathlib import Path

from harness import report
from harness.errors import StudyError, nearest
from harness.files import write_text
from harness.pipeline.conclude import reopen
from harness.store.run_folder import RunFolder
from harness.training import export_weights


def export(
    folder: RunFolder,
    candidate: str,
    out: Path,
    *,
    merge: bool = False,
    gguf: bool = False,
    licence: str = "unknown",
) -> str:
    """Write a candidate into a folder that the hub, vLLM and ``transformers serve`` can read.

    Args:
        folder: A finished run.
        candidate: Its name in the study.
        out: Where to; must be empty or new.
        merge: Merge the adapter into its base instead of copying it.
        gguf: Also convert the whole model with llama.cpp's own tool.
        licence: The hub's identifier of the licence, for the model card.

    Returns:
        What was written: ``adapter``, ``merged`` or ``model``.

    Raises:
        StudyError: If there is no such candidate, its weights are gone, or the folder is not empty.
        ModelError: If it cannot be merged or converted.
    """
    study, result = reopen(folder)
    arms = {arm.name: arm for arm in result.arms if arm.path}
    if candidate not in arms:
        raise StudyError(f"no candidate {candidate!r} in {folder.path}{nearest(candidate, arms)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StudyError(f"an export needs an empty folder: {out} is not; give another --out")
    source = folder.weights(arms[candidate])
    form = export_weights.form_of(source, merge=merge)
    if gguf and form == "adapter":
        raise StudyError("GGUF needs a whole model: add --merge")
    if form == "merged":
        export_weights.merge(source, out, model=folder.base_path(study), base=study.base)
    else:
        export_weights.copy(source, out, base_model=study.base.model)
    write_text(out / "README.md", report.model_card(result, candidate, form=form, licence=licence))
    if gguf:
        export_weights.gguf(out)
    return form
