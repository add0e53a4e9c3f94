"""A reply that is to be one JSON object: held to its schema and to the values that are wanted."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.scoring.tools.call_arguments import Tool, WantedCall
from harness.scoring.tools.call_formats import without_thoughts
from harness.scoring.tools.call_payloads import Json

_NAME = "the object"
_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*?)\n?```", re.DOTALL | re.IGNORECASE)
_OF_ARGUMENT = {
    "missing_argument": "missing_field",
    "invented_argument": "invented_field",
    "invalid_argument": "invalid_value",
}
"""What is said of an argument, as it is said of a field."""


@dataclass(frozen=True, slots=True)
class WantedJson:
    """One JSON object: ``accepted`` has further values by field; None accepts any."""

    schema: Mapping[str, Json]
    value: Mapping[str, Json]
    accepted: Mapping[str, Sequence[Json] | None]

    def fault(self, response: str) -> tuple[str, str] | None:
        """Return the label and the explanation of what is wrong, None where nothing is.

        A fence around the object is fine, words beside it are not: what reads it is a program.
        """
        text = without_thoughts(response).strip()
        fenced = _FENCED.findall(text)
        inner = fenced[0].strip() if len(fenced) == 1 else text
        try:
            found = json.loads(inner)
        except (ValueError, RecursionError) as error:
            if "{" not in inner:
                return "no_json", "there is no JSON object in it"
            if _holds_object(inner):
                return "words_beside_json", "there is more in it than the JSON object"
            return "malformed_json", f"the JSON does not parse: {error}"
        if fenced and _FENCED.sub("", text).strip():
            return "words_beside_json", "there is more in it than the JSON object"
        if not isinstance(found, dict):
            return "wrong_type", f"an object is wanted: found {type(found).__name__}"
        return self._of_fields(found)

    def _of_fields(self, found: Mapping[str, Json]) -> tuple[str, str] | None:
        tool = Tool(_NAME, self.schema)
        wanted = WantedCall(_NAME, self.value, self.accepted)
        fault = tool.fault(found) or wanted.fault(tool, found)
        if fault is None:
            return None
        return _OF_ARGUMENT.get(fault[0], fault[0]), fault[1].replace("argument", "field")


def _holds_object(text: str) -> bool:
    """Say whether a whole JSON object stands in a text."""
    try:
        found, _ = json.JSONDecoder().raw_decode(text, text.index("{"))
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict)
