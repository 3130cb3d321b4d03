"""Hierarchy: motifs that are declared once and used at many places of a larger structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, NoReturn

from torch import nn

from nas.building import BuildError, Node, Shape, Site, lift_choices
from nas.records import Natural, record


@record
class Motif(Node):
    """Refer to a motif of the enclosing hierarchy by its number."""

    number: Natural

    def build(self, site: Site) -> nn.Module:
        self._refuse()

    def shape(self, site: Site) -> Shape:
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise BuildError(f"motif {self.number} is in no hierarchy: put the node that holds it into the `body` of one")


@record
class Hierarchy(Node):
    """Build a body in which `Motif(i)` refers to the i-th motif; a motif may use those before it.

    Each use of a motif has separate weights: motifs share their structure only, as in Liu et al. 2018, arXiv:1711.00436,
    section 2.
    """

    motifs: tuple[Node, ...]
    body: Node

    def build(self, site: Site) -> nn.Module:
        return site.build(self.assembled())

    def shape(self, site: Site) -> Shape:
        return site.output(self.assembled())

    def assembled(self) -> Node:
        """Return the body with every motif reference replaced."""
        known: list[Node] = []
        for motif in self.motifs:
            # In order, so that the motifs before this one have no references left.
            known.append(_assembled(motif, known))
        node: Node = _assembled(self.body, known)
        return node


def _assembled(tree: Any, motifs: Sequence[Node]) -> Any:
    """Return a tree, closed or open, with its motif references replaced."""
    tree = lift_choices(tree)
    if isinstance(tree, Motif):
        if tree.number >= len(motifs):
            raise BuildError(f"motif {tree.number} is not among the {len(motifs)} before it: give a lower number")
        return motifs[tree.number]
    if isinstance(tree, tuple):
        return tuple(_assembled(part, motifs) for part in tree)
    if isinstance(tree, Hierarchy) or not is_dataclass(tree):
        return tree  # an inner hierarchy has its own motifs
    node: Any = tree
    parts = {
        field.name: (getattr(node, field.name), _assembled(getattr(node, field.name), motifs)) for field in fields(node)
    }
    return replace(node, **{name: made for name, (part, made) in parts.items() if made is not part})
