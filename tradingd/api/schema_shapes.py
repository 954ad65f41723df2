"""What the reference says about a request beyond its fields: which of them go together.

A validator can refuse a limit order without a price, but a plain list of fields cannot say so. `one_of` writes such a
request as its alternatives, so that whoever reads the reference, or makes requests from it, finds only sound ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

VALUES: Final = "x-values-of"
"""In a JSON schema: "symbols", "alphas" or "agents"; the running daemon's names take its place in the document."""

BELOW_100: Final = {
    "type": "string", "pattern": r"^(?!0(\.0+)?$)(0|[1-9][0-9]?)(\.[0-9]{1,18})?$", "examples": ["2"],
    "description": "A decimal string above 0 and below 100: percent.",
}
UP_TO_100: Final = BELOW_100 | {
    "pattern": r"^(?!0(\.0+)?$)((0|[1-9][0-9]?)(\.[0-9]{1,18})?|100(\.0{1,18})?)$",
    "description": "A decimal string above 0, at most 100: percent.",
}
ZERO_TO_BELOW_100: Final = BELOW_100 | {
    "pattern": r"^(0|[1-9][0-9]?)(\.[0-9]{1,18})?$",
    "description": "A decimal string of 0 or more, below 100: percent.",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One alternative. `fixed` fields have this schema, `needed` ones must be there, `without` ones are null or left
    out; all others are as they are declared.
    """

    title: str
    fixed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    needed: Sequence[str] = ()
    without: Sequence[str] = ()


def one_of(shapes: Sequence[Shape]) -> Callable[[dict[str, Any]], None]:
    """For `json_schema_extra` of a model: the object becomes its alternatives."""

    def rewrite(schema: dict[str, Any]) -> None:
        properties, required = schema.pop("properties"), schema.pop("required", [])
        for key in ("type", "additionalProperties"):
            schema.pop(key, None)
        schema["anyOf"] = [_alternative(shape, properties, required) for shape in shapes]

    return rewrite


def _alternative(shape: Shape, properties: Mapping[str, Any], required: Sequence[str]) -> dict[str, Any]:
    fields = dict(properties)
    for name in shape.needed:
        fields[name] = _without_null(fields[name])
    for name, fixed in shape.fixed.items():
        fields[name] = dict(fixed)
    for name in shape.without:
        fields[name] = {"type": "null"}
    return {
        "title": shape.title, "type": "object", "properties": fields,
        "required": [*required, *(name for name in shape.needed if name not in required)],
        "additionalProperties": False,
    }


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    branches = [branch for branch in schema.get("anyOf", ()) if branch != {"type": "null"}]
    if len(branches) == 1:
        return dict(branches[0])
    kept = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**kept, "anyOf": branches} if branches else kept


def or_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The same, or null."""
    return {"anyOf": [dict(schema), {"type": "null"}]}
