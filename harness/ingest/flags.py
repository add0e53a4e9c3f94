"""What a row says of its own learning: ``train``, ``weight``, ``masked``, and KTO's ``label``."""

from collections.abc import Mapping

from harness.errors import DataError

FLAGS = ("train", "weight", "masked")
"""Fields of a row or of a turn that say whether it is learnt; ``masked`` says that it is not."""

LABEL = "label"

_TRUTH = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


def is_there(value: object) -> bool:
    """Tell whether a field holds anything; NaN is how tables write that they have nothing."""
    return not (value is None or value != value or value in ("", [], (), {}))  # noqa: PLR0124


def learnt(fields: Mapping[str, object], where: str) -> bool | None:
    """Return whether a row or turn is to be learnt; None where it says nothing.

    Raises:
        DataError: If it gives another weight than 0 or 1.
    """
    said = []
    for key in FLAGS:
        value = fields.get(key)
        if not is_there(value):
            continue
        truth = _truth(value)
        if truth is None:
            raise DataError(
                f"{key!r} must be 0 or 1, or false or true: {where} has {value!r}; rows are learnt "
                "or left out, take the field out"
            )
        said.append(truth is not (key == "masked"))
    return all(said) if said else None


def label(fields: Mapping[str, object], *, judged: bool) -> bool | None:
    """Return KTO's judgement of a row's one answer; None where ``label`` is something else.

    Args:
        fields: The row.
        judged: Whether 0 and 1 count as false and true: where ``label`` is no class of a text.
    """
    value = fields.get(LABEL)
    if isinstance(value, bool):
        return value
    return _truth(value) if judged else None


def _truth(value: object) -> bool | None:
    return _TRUTH.get(str(value).strip().lower()) if is_there(value) else None
