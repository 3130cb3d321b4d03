"""Pages: the panels of a tree's drawing: the whole tree, and each distinct cell and graph in a separate panel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from nas.building import Node, Shape
from nas.choice import Choice
from nas.drawing.graphs import described, is_graph
from nas.drawing.inside import Options, is_of_nodes, options_of
from nas.drawing.numbers import NumberedModules, watched
from nas.drawing.sketch import Block, Page, Panel, Paths
from nas.drawing.trees import Sketcher
from nas.records import classes
from nas.topology.chain import Stage
from nas.topology.hierarchy import Hierarchy
from nas.topology.network import Network
from nas.topology.wired import Wired

MANY, LONG = 7, 4
"""A list of at least LONG options that at least MANY choices share is drawn once, and referred to by a letter."""


def page_of(tree: Any, input: Shape | None = None) -> Page | None:
    """Return the page of a tree, closed or open; None where it has no nodes.

    With images of shape `input` (C, H, W), the page of a closed tree shows shapes and parameters too.
    """
    if isinstance(tree, Node | Choice):
        if not is_of_nodes(tree):
            return None
        roots = {"": tree}
    elif type(tree).__name__ in classes:
        values = {each.name: getattr(tree, each.name) for each in fields(tree)}
        roots = {name: value for name, value in values.items() if is_of_nodes(value) and not isinstance(value, tuple)}
    else:
        return None
    return Page(tuple(_panels(roots, input))) if roots else None


def _panels(roots: dict[str, Any], input: Shape | None) -> Iterator[Panel]:
    """Yield a panel for each root, one for each cell and graph inside, and one for the shared lists of options."""
    names, keys = _names(tuple(roots.values())), _keys(tuple(roots.values()))
    for name, root in roots.items():
        # only a tree that takes images itself is built: a named root is one field of a record, a cell takes feature maps
        seen = None if input is None or name or _kind(root) else watched(root, input)
        title = f"{name} {_kind(root)}".strip() if name else ("" if isinstance(root, Network) else _titled(root))
        yield from _panel(title, root, names, keys, seen)
    for node, name in names.items():
        if node not in roots.values():
            yield from _panel(_described(name, node), node, names, keys)
    if keys:
        listed = (Block(key, options=options, is_open=True) for options, key in keys.items())
        yield Panel("options", Paths(tuple(listed), ""))


def _panel(
    title: str, node: Any, names: dict[Any, str], keys: dict[Options, str], seen: NumberedModules | None = None
) -> Iterator[Panel]:
    """Yield the panel of a node; for a hierarchy, one for its body and one for each motif."""
    # without its own name, since the sketcher draws a node that has a name as a box that refers to its panel
    others = {other: name for other, name in names.items() if other is not node and other != node}
    sketcher = Sketcher(others, keys)
    if not isinstance(node, Hierarchy) or isinstance(node.motifs, Choice):
        yield Panel(title, sketcher.sketch(node, seen))
        return
    inside = Sketcher({}, keys)
    yield Panel(title, inside.sketch(node.body))
    for i, motif in enumerate(node.motifs):
        yield Panel(f"motif {i}", inside.sketch(motif))


def _titled(node: Any) -> str:
    kind = _kind(node)
    return _described(kind, node) if kind else ""


def _kind(node: Any) -> str:
    if isinstance(node, Hierarchy):
        return "hierarchical cell"
    return "" if not is_graph(node) else "graph" if isinstance(node, Wired) else "cell"


def _described(name: str, node: Any) -> str:
    return f"{name}: {described(node)}" if isinstance(node, Wired) else name


def _names(roots: tuple[Any, ...]) -> dict[Any, str]:
    """Return a name for each distinct cell, graph and hierarchy below the roots.

    Where some cells are in strided stages and others are not, these are named reduction and normal cells.
    """
    found: dict[Any, bool] = {}
    for root in roots:
        for node, is_strided in _graphs(root, False):
            found.setdefault(node, is_strided)
    has_both = len({strided for node, strided in found.items() if _kind(node) == "cell"}) > 1
    plain = {node: _base(node, strided, has_both) for node, strided in found.items()}
    names: dict[Any, str] = {}
    for node, name in plain.items():
        namesakes = [other for other, others in plain.items() if others == name]
        names[node] = f"{name} {namesakes.index(node) + 1}" if len(namesakes) > 1 else name
    return names


def _keys(roots: tuple[Any, ...]) -> dict[Options, str]:
    """Return a letter for each long list of operations that many choices share."""
    listed = Counter(options_of(choice) for choice in _choices(roots))
    often = [options for options, count in listed.items() if count >= MANY and len(options) >= LONG]
    return {options: f"{chr(ord('A') + i % 26)}{i // 26 or ''}" for i, options in enumerate(often)}


def _choices(tree: Any) -> Iterator[Choice]:
    """Yield every choice among nodes, once per occurrence."""
    if isinstance(tree, Choice) and is_of_nodes(tree):
        yield tree
    if isinstance(tree, tuple):
        for part in tree:
            yield from _choices(part)
    elif type(tree).__name__ in classes:
        for each in fields(tree):
            yield from _choices(getattr(tree, each.name))


def _base(node: Any, is_strided: bool, has_both: bool) -> str:
    kind = _kind(node)
    return f"{'reduction' if is_strided else 'normal'} {kind}" if has_both and kind == "cell" else kind


def _graphs(tree: Any, is_strided: bool) -> Iterator[tuple[Any, bool]]:
    """Yield the outermost cells, graphs and hierarchies of a tree, and whether each is in a strided stage."""
    if isinstance(tree, tuple):
        for part in tree:
            yield from _graphs(part, is_strided)
    elif isinstance(tree, Node | Choice) and _kind(tree):
        yield tree, is_strided
    elif type(tree).__name__ in classes:
        strided = isinstance(tree, Stage) and tree.stride != 1
        for each in fields(tree):
            yield from _graphs(getattr(tree, each.name), strided)
