"""Which names are ids of the Hugging Face hub."""

import re
from pathlib import Path

_PART = r"\w(?:[\w.-]{0,94}\w)?"
_ID = re.compile(rf"(?:{_PART}/)?{_PART}", re.ASCII)


def hub_id(name: str, path: str = "") -> str | None:
    """Return a model's or data set's id on the hub, or None where it has none.

    Args:
        name: What a study calls it: ``owner/name``, a folder, or ``builtin:tiny``.
        path: What that was loaded from; a folder's is not its name. By default the name itself.

    The rules for the letters are those of ``huggingface_hub.utils.validate_repo_id``.

    >>> hub_id("Qwen/Qwen3-0.6B"), hub_id("builtin:tiny"), hub_id("./models/mine")
    ('Qwen/Qwen3-0.6B', None, None)
    """
    if not _ID.fullmatch(name) or path not in ("", name) or Path(name).exists():
        return None
    odd = "--" in name or ".." in name or name.endswith(".git")
    return None if odd else name
