"""Records of the moment, and frozen ones that are born as cheaply.

A frozen dataclass writes each field through `object.__setattr__`: ten times the price of a plain store, which an order
with its 23 fields pays several times on its way from a trigger to the venue.
"""

from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, TypeVar, dataclass_transform

Kind = TypeVar("Kind")


@dataclass_transform(frozen_default=True)
def record(kind: type[Kind]) -> type[Kind]:
    """A slotted dataclass, compared and hashed by its values: born by the thousand, read once, and forgotten.

    To the type checker it is frozen. At run time nothing guards its fields. For what is handed on or kept (messages,
    orders, approvals) use a frozen dataclass, with `fast_init` where many are made.
    """
    return dataclass(slots=True, unsafe_hash=True)(kind)


_SWAP_CLASS: Final = object.__dict__["__class__"].__set__


def fast_init(kind: type[Kind]) -> type[Kind]:
    """Above `@dataclass(frozen=True, slots=True)`: the same class, as frozen as before, born at a fifth of the price.

    While its fields are set an instance belongs to an open twin with the same slots. Raises `TypeError` for a class
    that has no slots, or does more at its birth than setting its fields.
    """
    named = fields(kind)  # type: ignore[arg-type]
    if "__slots__" not in vars(kind) or hasattr(kind, "__post_init__") or not all(each.init for each in named):
        raise TypeError(f"{kind.__name__}: only for a slotted dataclass without __post_init__ or fields of its own")
    values: dict[str, Any] = {"_swap_class": _SWAP_CLASS, "_twin": type(kind.__name__, (), {
        "__slots__": tuple(each.name for each in named),
    })}
    words, stores = ["self"], []
    for each in named:
        word, store = each.name, each.name
        if each.default is not MISSING:
            values[f"_default_{each.name}"] = each.default
            word += f"=_default_{each.name}"
        elif each.default_factory is not MISSING:
            values["_unset"], values[f"_make_{each.name}"] = MISSING, each.default_factory
            word += "=_unset"
            store = f"_make_{each.name}() if {each.name} is _unset else {each.name}"
        words.append(f"*, {word}" if each.kw_only and "*, " not in "".join(words) else word)
        stores.append(f"    self.{each.name} = {store}\n")
    text = (
        f"def __init__({', '.join(words)}):\n    own = self.__class__\n    _swap_class(self, _twin)\n"
        f"{''.join(stores)}    self.__class__ = own\n"
    )
    exec(text, values)  # noqa: S102 - as `dataclass` itself makes it; the names are those of a class of ours
    made: Any = values["__init__"]
    made.__qualname__, made.__module__ = f"{kind.__qualname__}.__init__", kind.__module__
    made.__annotations__ = {**{each.name: each.type for each in named}, "return": None}
    kind.__init__ = made  # type: ignore[method-assign]
    return kind
