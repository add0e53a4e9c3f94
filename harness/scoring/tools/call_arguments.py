"""Arguments of a call, held to the tool's JSON schema and to those that are wanted."""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from harness.scoring.tools.call_payloads import Json, ToolCall, typed

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

Schema = Mapping[str, Json]


class NotAToolError(ValueError):
    """What should describe a tool does not."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool on offer: its name, and the JSON schema of its arguments."""

    name: str
    parameters: Schema

    @classmethod
    def of(cls, given: Mapping[str, Json]) -> "Tool":
        """Read a tool in the OpenAI shape, with or without its ``function`` wrapper.

        Raises:
            NotAToolError: If it has no name, or its parameters are no JSON schema of an object.
        """
        inner = given.get("function", given)
        if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
            raise NotAToolError("a tool is an object with a 'name'")
        schema = inner.get("parameters") or inner.get("input_schema") or {"type": "object"}
        if not isinstance(schema, Mapping):
            raise NotAToolError(f"the parameters of {inner['name']!r} must be a JSON schema")
        _validator(json.dumps(schema))
        return cls(str(inner["name"]), schema)

    @property
    def properties(self) -> Mapping[str, Schema]:
        """The schema of each argument, by name."""
        found = self.parameters.get("properties")
        return found if isinstance(found, Mapping) else {}

    def named(self, call: ToolCall) -> dict[str, Json]:
        """Return all arguments of a call by name; those without one in the schema's order."""
        free = [name for name in self.properties if name not in call.arguments]
        extra = {f"argument {n + 1}": value for n, value in enumerate(call.positional[len(free) :])}
        given = {k: typed(value, self.properties.get(k)) for k, value in call.arguments.items()}
        return {**given, **dict(zip(free, call.positional, strict=False)), **extra}

    def fault(self, given: Mapping[str, Json]) -> tuple[str, str] | None:
        """Return the label and the explanation of what breaks the schema; None where nothing does.

        An argument that the schema does not have is invented, whether or not it allows more.
        """
        required = self.parameters.get("required")
        for name in required if isinstance(required, Sequence) else ():
            if name not in given:
                return "missing_argument", f"{self.name} needs {name!r}"
        for name in given:
            if self.properties and name not in self.properties:
                return "invented_argument", f"{self.name} has no argument {name!r}"
        errors = sorted(
            _validator(json.dumps(self.parameters)).iter_errors(dict(given)),
            key=lambda error: error.validator != "type",
        )
        if not errors:
            return None
        where = ".".join(map(str, errors[0].absolute_path)) or "its arguments"
        label = _OF_RULE.get(str(errors[0].validator), "invalid_argument")
        return label, f"{self.name}: {where}: {errors[0].message}"


_OF_RULE = {
    "type": "wrong_type",
    "required": "missing_argument",
    "additionalProperties": "invented_argument",
}


@lru_cache(maxsize=1024)
def _validator(schema: str) -> "Validator":
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for

    read = json.loads(schema)
    kind = validator_for(read)
    try:
        kind.check_schema(read)
    except SchemaError as error:
        raise NotAToolError(
            f"the parameters of a tool must be a JSON schema: {error.message}"
        ) from error
    return kind(read)


@dataclass(frozen=True, slots=True)
class WantedCall:
    """A call that is wanted: ``accepted`` has further values by argument; None accepts any."""

    name: str
    arguments: Mapping[str, Json]
    accepted: Mapping[str, Sequence[Json] | None]

    def fault(self, tool: Tool, given: Mapping[str, Json]) -> tuple[str, str] | None:
        """Return the label and the explanation of the first argument that differs, None if equal.

        An optional argument that is left out has its default.
        """
        for name in [*self.arguments, *given]:
            schema = tool.properties.get(name, {})
            default = schema.get("default") if isinstance(schema, Mapping) else None
            if name in self.accepted and self.accepted[name] is None and name in given:
                continue
            wanted = self.arguments.get(name, default)
            have = given.get(name, default)
            accepted = [wanted, *(self.accepted.get(name) or ())]
            if any(equal(one, have, schema) for one in accepted):
                continue
            if name not in given:
                return "missing_argument", f"{self.name} should be given {name!r}"
            if name not in self.arguments and name not in self.accepted:
                return "invented_argument", f"{self.name} is given {name!r}, which nobody named"
            kinds = {_kind(one) for one in accepted}
            label = "wrong_value" if _kind(have) in kinds else "wrong_type"
            return label, f"{name} is {_short(have)}; wanted is {_short(wanted)}"
        return None


def equal(wanted: Json, given: Json, schema: Schema | Json = None) -> bool:
    """Return whether two JSON values are the same: types count, the order of an object does not.

    A list whose schema says ``uniqueItems`` is a set. Texts are compared without the blanks around
    them, in Unicode's composed form.

    >>> equal({"a": 1, "b": [1.0]}, {"b": [1], "a": 1}), equal("1", 1), equal(True, 1)
    (True, False, False)
    """
    rules = schema if isinstance(schema, Mapping) else {}
    if isinstance(wanted, Mapping) and isinstance(given, Mapping):
        inner = rules.get("properties")
        inner = inner if isinstance(inner, Mapping) else {}
        return wanted.keys() == given.keys() and all(
            equal(wanted[name], given[name], inner.get(name)) for name in wanted
        )
    if isinstance(wanted, list) and isinstance(given, list):
        if len(wanted) != len(given):
            return False
        items = rules.get("items")
        if not rules.get("uniqueItems"):
            return all(equal(a, b, items) for a, b in zip(wanted, given, strict=True))
        left = list(given)
        for one in wanted:
            same = next((n for n, other in enumerate(left) if equal(one, other, items)), None)
            if same is None:
                return False
            left.pop(same)
        return True
    if isinstance(wanted, str) and isinstance(given, str):
        return _text(wanted) == _text(given)
    return _kind(wanted) == _kind(given) and wanted == given


def _text(value: str) -> str:
    return " ".join(unicodedata.normalize("NFC", value).split())


def _kind(value: Json) -> str:
    """Return the JSON type of a value; whole numbers and others are one."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    kinds = ((int | float, "number"), (str, "string"), (Mapping, "object"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "array")


def _short(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
