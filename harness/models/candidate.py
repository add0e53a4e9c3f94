"""Load a candidate's own model or tokenizer without running any code of its folder.

``trust_remote_code`` of a study is about the base: whoever trusts that has not read what others put
into their adapters. A base with code of its own lends its classes to its fine-tunes.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import ModelError
from harness.models.bounds import bound_template
from harness.models.load_model import first_line, load_model, load_tokenizer
from harness.study import BaseSection

if TYPE_CHECKING:
    from harness.models.protocols import CausalLM, PretrainedTokenizer, Tokenizer

_REMEDY = (
    "code in a candidate's folder is never run: take 'auto_map' and the code out of it, or name it "
    "as a base that the study trusts"
)


def load_whole_candidate(folder: Path, base: BaseSection, like: "CausalLM") -> "CausalLM":
    """Load a whole model for scoring, in the way that its base was loaded.

    Args:
        folder: With ``config.json`` and weights.
        base: Precision, device and quantization.
        like: The loaded base, of whose class it is where that is code of the base's own.

    Raises:
        ModelError: If it cannot be loaded, or only by code of its own.
    """
    own = base.model_copy(update={"revision": None, "trust_remote_code": False})
    lent = type(like) if _is_remote(like) else None
    try:
        return load_model(str(folder), own, model_class=lent).eval().requires_grad_(False)
    except ModelError as error:
        raise _told(error, folder) from error


def load_candidate_tokenizer(
    folder: Path, base: "Tokenizer", *, padding: bool = False
) -> "PretrainedTokenizer":
    """Load the tokenizer that lies in a candidate's folder.

    Args:
        folder: An adapter's, or a whole model's.
        base: The base's tokenizer, of whose class it is where that is code of the base's own.
        padding: See `harness.models.load_model.load_tokenizer`.

    Raises:
        ModelError: If it cannot be read, or only by code of its own.
    """
    try:
        if not _is_remote(base):
            section = BaseSection(model=str(folder))
            return load_tokenizer(str(folder), section, padding=padding)
        found: PretrainedTokenizer = type(base).from_pretrained(str(folder))  # type: ignore[attr-defined]
    except ModelError as error:
        raise _told(error, folder) from error
    except Exception as error:
        raise ModelError(
            f"an adapter's tokenizer must be readable: {folder}: {first_line(error)}"
        ) from error
    if padding and found.pad_token is None:
        found.pad_token = found.eos_token
    bound_template(found)
    return found


def _is_remote(loaded: object) -> bool:
    """Tell whether the class of something was loaded from a model's own code."""
    return type(loaded).__module__.partition(".")[0] == "transformers_modules"


def _told(error: ModelError, folder: Path) -> ModelError:
    return ModelError(f"{error}; {_REMEDY}") if has_code(folder) else error


def has_code(folder: Path) -> bool:
    """Tell whether a folder asks for code of its own, or of a repository that it names."""
    for name in ("config.json", "tokenizer_config.json"):
        try:
            if json.loads((folder / name).read_text(encoding="utf-8")).get("auto_map"):
                return True
        except (OSError, ValueError, AttributeError, RecursionError):
            continue
    return False
