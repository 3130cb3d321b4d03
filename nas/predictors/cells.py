"""The cells of an architecture, as encodings read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nas.records import digest
from nas.space import choices, decisions

if TYPE_CHECKING:
    from nas.topology.cell import Cell, Edge


def cells_of(tree: Any, place: str = "") -> Iterator[tuple[str, Cell]]:
    """Yield every cell of a tree, with its place in it."""
    from nas.topology.cell import Cell

    if isinstance(tree, Cell):
        yield place, tree
    elif isinstance(tree, tuple):
        for i, part in enumerate(tree):
            yield from cells_of(part, f"{place}{i}.")
    elif is_dataclass(tree):
        for field in fields(tree):
            yield from cells_of(getattr(tree, field.name), f"{place}{field.name}.")


def outside_of_cells(space: Any, architecture: Any) -> frozenset[str]:
    """Return the decisions of choices that stand outside of every cell, as features."""
    inside = _inside(space)
    taken = decisions(space, architecture).items()
    return frozenset(f"{name}={decision}" for name, decision in taken if name not in inside)


@lru_cache(maxsize=16)
def _inside(space: Any) -> frozenset[str]:
    """Return the names of the choices that stand in the cells of a space."""
    return frozenset(name for _, cell in cells_of(space) for name in choices(cell))


def operation_of(edge: Edge) -> str:
    """Return a name of an edge's operation: its class, and a digest of its settings."""
    return _named(edge.operation)


@lru_cache(maxsize=1000)
def _named(operation: Any) -> str:
    return f"{type(operation).__name__}#{digest(operation)}"
