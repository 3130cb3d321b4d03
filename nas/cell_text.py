"""Cells as short text, `normal: (sep3~0, skip~1) ...  reduce: ...`, written and read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nas.building import Node
from nas.family import OtherForm
from nas.notation import notation, parse
from nas.records import RecordError, nearest
from nas.topology.cell import Cell, Cells, Edge


def describe_cells(cells: Cells, names: Mapping[Node, str], concat: Literal["nodes", "unread"]) -> str:
    """Write two cells as short text: `normal: (sep3~0, skip~1) ...  reduce: ...`; `parse_graphs` reads it.

    `concat` is what cells of the family usually concatenate: all nodes, or the unread states. Other cells add their states:
    `concat(4, 5, 6)`.
    """

    def text(cell: Cell) -> str:
        usual = None if concat == "unread" else tuple(range(cell.reads, cell.reads + len(cell.nodes)))
        states = "unread" if cell.concat is None else ", ".join(map(str, cell.concat))
        return describe_nodes(cell, names) + ("" if cell.concat == usual else f" concat({states})")

    return f"normal: {text(cells.normal)}  reduce: {text(cells.reduction)}"


def describe_nodes(cell: Cell, names: Mapping[Node, str]) -> str:
    """Write the nodes of a cell, each with its edges in parentheses; an operation without a name is written in notation."""

    def edge(each: Edge) -> str:
        return f"{names.get(each.operation) or notation(each.operation)}~{each.source}"

    return " ".join(f"({', '.join(map(edge, edges))})" for edges in cell.nodes)


@dataclass(frozen=True, slots=True)
class GraphText:
    """A parsed graph. `concat` holds the states, or "unread"; it is empty where the text leaves them to the family."""

    nodes: tuple[tuple[Edge, ...], ...]
    concat: tuple[int, ...] | Literal["", "unread"] = ""


def parse_graphs(text: str, names: Mapping[str, Node], titles: str) -> dict[str, GraphText]:
    """Return the graphs of a text by `describe_cells`, by title; operations are names or in notation.

    `titles` is a pattern of the titles. Raises OtherForm where the text has other titles or most operations have no name
    here, and RecordError where it is damaged.
    """
    if not re.match(rf"\s*(?:{titles}):\s*\(", text):
        raise OtherForm(f"{text[:60]!r} is not written as `normal: (sep3~0, skip~1)`")
    # Most operations of a foreign family have no name here: leave the text to that family.
    used = re.findall(r"[(,]\s*([^(),~]+)~\d", text)
    if 2 * sum(name in names for name in used) < len(used):
        raise OtherForm(f"{', '.join(dict.fromkeys(used))} are not operations of this family")
    graphs: dict[str, GraphText] = {}
    # Each title with its body, which ends before the next title or at the end of the text.
    for title, body in re.findall(rf"({titles}):\s*(.*?)\s*(?=(?:{titles}):|$)", text.strip(), re.DOTALL):
        if title in graphs:
            raise RecordError(f"{title} is given twice: remove one")
        graphs[title] = _parse_graph(title, body, names)
    return graphs


def _parse_graph(title: str, text: str, names: Mapping[str, Node]) -> GraphText:
    head, _, states = text.partition(" concat(")  # the closing parenthesis stays in `states`
    nodes: list[tuple[Edge, ...]] = []
    rest = head.strip()
    while rest:
        # One node: "(" before its first edge, "," between edges, ")" after the last; any other mark is an error.
        edges, mark, rest = list[Edge](), rest[0], rest[1:]
        while mark in "(,":
            if (edge := re.match(r"\s*([^~]+)~(\d+)\s*([,)])\s*", rest)) is None:
                break
            name, source, mark = edge.groups()
            edges.append(Edge(int(source), _operation(title, name, names)))
            rest = rest[edge.end() :]
        if mark != ")" or not edges:
            raise RecordError(
                f"{title} has {(mark + rest)[:40]!r}: write each node as (operation~state, operation~state)"
            )
        nodes.append(tuple(edges))
    if not states:
        return GraphText(tuple(nodes))
    if not re.fullmatch(r"(unread|\d+(,\s*\d+)*)\)", states):
        raise RecordError(f"{title} has concat({states[:40]}: separate the states by commas, as concat(4, 5, 6)")
    return GraphText(tuple(nodes), "unread" if states == "unread)" else tuple(map(int, re.findall(r"\d+", states))))


def _operation(title: str, name: str, names: Mapping[str, Node]) -> Node:
    if name in names:
        return names[name]
    try:
        operation: Any = parse(name)
    except RecordError:
        operation = None
    if not isinstance(operation, Node):
        raise RecordError(f"{title} has an operation {name!r}: {nearest(name, names)}")
    return operation
