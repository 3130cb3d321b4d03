"""Inside: the nodes that are drawn inside a node, and the options of an open choice."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from typing import Any

from nas.building import Node
from nas.choice import SCALARS, Choice
from nas.drawing.graphs import is_graph
from nas.drawing.words import kind_of, node_label, said_of
from nas.records import classes

Options = tuple[tuple[str, str], ...]
"""Operations in words, each with its kind."""


def tuple_of(value: Any) -> tuple[Any, ...]:
    """Return a tuple unchanged, and any other value, an open choice too, as a tuple of one."""
    return value if isinstance(value, tuple) else (value,)


def is_of_nodes(value: Any) -> bool:
    """Return whether a value is a node, an open choice among nodes, or a tuple of these."""
    if isinstance(value, Choice):
        return any(map(is_of_nodes, value.options))
    return isinstance(value, Node) or (isinstance(value, tuple) and bool(value) and all(map(is_of_nodes, value)))


def held_by(node: Any) -> dict[str, Any]:
    """Return the fields with nodes to draw: those without a default, and others whose nodes hold nodes themselves."""
    if type(node).__name__ not in classes:
        return {}
    found = {}
    for each in fields(node):
        value = getattr(node, each.name)
        needed = each.default is MISSING and each.default_factory is MISSING
        if is_of_nodes(value) and (needed or any(map(holds_nodes, tuple_of(value)))):
            found[each.name] = value
    return found


def holds_nodes(node: Any) -> bool:
    """Return whether nodes are drawn inside a node."""
    return is_of_nodes(node) if isinstance(node, Choice | tuple) else is_graph(node) or bool(held_by(node))


def among_closed(node: Any) -> Any:
    """Return a node with an open tuple of nodes as the choice among nodes with a closed one; other nodes as they are."""
    for field, value in held_by(node).items():
        if isinstance(value, Choice) and value.k is None and any(isinstance(each, tuple) for each in value.options):
            made = (
                [replace(node, **{field: each}) for each in among] for among in (value.options, value.supernet_only)
            )
            options, supernet_only = map(tuple, made)
            return Choice(value.name, options, supernet_only=supernet_only)
    return node


def options_of(choice: Choice) -> Options:
    """Return the options of a choice among operations, each with its kind; empty where an option holds other nodes."""
    options = [(each, "") for each in choice.options] + [(each, " (supernet only)") for each in choice.supernet_only]
    if any(holds_nodes(each) for each, _ in options):
        return ()
    return tuple((", ".join((node_label(each), *said_of(each))) + said, kind_of(each)) for each, said in options)


def pulled_in(name: str, options: tuple[Any, ...]) -> Any:
    """Return options that differ in a single number or word as one option with a choice there; None where they differ more."""
    if all(type(each) in SCALARS for each in options):
        return Choice(name, options) if len(set(options)) == len(options) else None
    first = options[0]
    if isinstance(first, tuple) and all(isinstance(each, tuple) and len(each) == len(first) for each in options):
        parts = [_common(name, column) for column in zip(*options, strict=True)]
        # a sum of 1: exactly one part differs, and that one can be merged (see _common)
        return tuple(part for part, _ in parts) if sum(state for _, state in parts) == 1 else None
    if isinstance(first, Choice) or type(first).__name__ not in classes or len(set(map(type, options))) > 1:
        return None
    made = {each.name: _common(name, tuple(getattr(one, each.name) for one in options)) for each in fields(first)}
    if sum(state for _, state in made.values()) != 1:
        return None
    return replace(first, **{name: part for name, (part, state) in made.items() if state})


def _common(name: str, parts: tuple[Any, ...]) -> tuple[Any, int]:
    """Return the merged part and 0 where parts are equal, 1 where it holds a choice, 2 (with None) where they differ more."""
    if all(part == parts[0] for part in parts):
        return parts[0], 0
    only = pulled_in(name, parts)
    return only, 2 if only is None else 1
