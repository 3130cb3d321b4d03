"""The tree of an architecture as a graph, told by features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from nas.predictors.cells import cells_of
from nas.predictors.encoding import Encoding
from nas.records import record

LABEL, LINK = ": ", " -> "
"""What stands in a feature between a node and one of its labels, and between a node and one that it links to."""


@record
class Graph(Encoding):
    """One node for each record of the tree, labelled with its class and its plain values, and linked to what it holds.

    The one record of a record, as the operation of an edge, shares its node. The states of a cell are nodes too: the edges
    that read a state are linked from it, those that it is the sum of link to it. Nodes are named by their place in the tree.
    Made for `GraphNetwork`; other predictors read labels and links as features. In any space.
    """

    def features(self, space: Any, architecture: Any) -> frozenset[str]:
        return frozenset([*_parts(architecture, "", ""), *_states(architecture)])


def _parts(tree: Any, node: str, name: str) -> Iterator[str]:
    """Yield the features of what a node holds under a name, and of all below it."""
    if isinstance(tree, tuple):
        for i, part in enumerate(tree):
            yield from _parts(part, node, f"{name}{i}.")
    elif is_dataclass(tree):
        yield f"{node}{name}{LABEL}{type(tree).__name__}"
        if name:
            yield f"{node}{LINK}{node}{name}"
        yield from _fields(tree, f"{node}{name}", "")
    else:
        yield f"{node}{LABEL}{name.removesuffix('.')}={tree!r}"


def _fields(tree: Any, node: str, name: str) -> Iterator[str]:
    """Yield the features of the fields of a record, which its node has under a name."""
    values = {field.name: getattr(tree, field.name) for field in fields(tree)}
    is_alone = sum(is_dataclass(value) or isinstance(value, tuple) for value in values.values()) == 1
    for field, value in values.items():
        if is_alone and is_dataclass(value):
            yield f"{node}{LABEL}{name}{field}={type(value).__name__}"
            yield from _fields(value, node, f"{name}{field}.")
        else:
            yield from _parts(value, node, f"{name}{field}.")


def _states(architecture: Any) -> Iterator[str]:
    """Yield the features of the states of cells: the inputs, and the sums of edges."""
    for place, cell in cells_of(architecture):
        for state in range(cell.reads + len(cell.nodes)):
            yield f"{place}state{state}{LABEL}{f'input {state}' if state < cell.reads else 'state'}"
        for target, edges in enumerate(cell.nodes):
            for i, edge in enumerate(edges):
                yield f"{place}state{edge.source}{LINK}{place}nodes.{target}.{i}."
                yield f"{place}nodes.{target}.{i}.{LINK}{place}state{cell.reads + target}"
