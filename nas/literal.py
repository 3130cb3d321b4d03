"""Literals: values as Python and JSON print them, read from text without executing it."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LONGEST_RANGE = 1000
"""The most numbers of a range that is expanded; longer ones do not occur in architectures."""

LISTS = {"list": list, "tuple": tuple, "set": list, "array": list}
MAPPINGS = ("dict", "OrderedDict", "defaultdict")


@dataclass(frozen=True, slots=True)
class LiteralCall:
    """A value printed as a call, such as a namedtuple: `Genotype(normal=[...], normal_concat=range(2, 6))`."""

    name: str
    values: tuple[Any, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


def literal(text: str) -> Any:
    """Return the value written in a text: JSON, or a Python literal that may contain ranges and namedtuples.

    A name may precede the value, as in `DARTS_V2 = Genotype(...)`. Raises ValueError where the text is no literal.
    """
    # JSON first: its true, false and null are no Python literals.
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        (statement,) = ast.parse(text.strip()).body
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr) and statement.value is not None:
            return _value(statement.value)
    except SyntaxError as error:
        raise ValueError(error.msg) from None
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"not a literal: {error}") from None
    raise ValueError("not a value")


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.List | ast.Set):
        return [_value(each) for each in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(each) for each in node.elts)
    if isinstance(node, ast.Dict):
        return {_key(key): _value(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.Call):
        return _call(node)
    if isinstance(node, ast.Name) and node.id in ("nan", "inf"):
        return float(node.id)
    return ast.literal_eval(node)


def _key(node: ast.expr | None) -> Any:
    if node is None:
        raise ValueError("not a literal: it unpacks a mapping by **")
    return ast.literal_eval(node)


def _call(node: ast.Call) -> Any:
    name = ast.unparse(node.func).rpartition(".")[2]
    values = tuple(_value(each) for each in node.args)
    if any(each.arg is None for each in node.keywords):
        raise ValueError(f"not a literal: it unpacks the arguments of {name} by **")
    named = {str(each.arg): _value(each.value) for each in node.keywords}
    if name == "range":
        numbers = range(*values)
        if len(numbers) > LONGEST_RANGE:
            raise ValueError(f"{numbers} has more than {LONGEST_RANGE} numbers")
        return list(numbers)
    if name in LISTS and len(values) == 1 and not named:
        return LISTS[name](values[0])
    if name in MAPPINGS:
        # The last argument holds the values; the first of a defaultdict is its factory.
        return {**dict(values[-1] if values else {}), **named}
    return LiteralCall(name, values, named)
