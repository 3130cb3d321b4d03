"""Cell: a small directed acyclic graph whose edges carry operations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from nas.building import BuildError, Node, Shape, Site
from nas.operations.conv import relu_conv_norm
from nas.operations.drop_path import DropPath
from nas.operations.skip import FactorizedReduce
from nas.records import record
from nas.space import Choice


@record
class Edge:
    """An operation on the state `source`: 0, 1, ... are the cell's inputs, then its nodes in order."""

    source: int
    operation: Node


@record
class Cell(Node):
    """Add the edges of each node of a small graph, and concatenate the states in `concat`.

    `reads` is the number of inputs: 2, the output before the last and the last, or 1. `concat` None concatenates every state
    that no edge reads, inputs included (NASNet). `preprocess` brings the inputs to the cell's width: "always" by 1x1
    convolutions (DARTS); "previous_if_different" does not change the output before the last where its shape fits (the
    released NASNet code); "never" changes neither (NAS-Bench-201). In a strided cell, the edges that read an input have the
    stride.
    """

    nodes: tuple[tuple[Edge, ...], ...]
    concat: tuple[int, ...] | None = None
    reads: Literal[1, 2] = 2
    preprocess: Literal["always", "previous_if_different", "never"] = "always"

    def __post_init__(self) -> None:
        if self.reads == 2 and self.preprocess == "never":
            raise BuildError(
                "a cell with two inputs must preprocess them, as they may differ in size and width: give reads 1, or another "
                "`preprocess`"
            )
        for i, edges in enumerate(self.nodes):
            if not edges:
                raise BuildError(f"node {i} of the cell has no edges: give it at least one")
            for edge in () if isinstance(edges, Choice) else edges:
                self._check_state(getattr(edge, "source", None), self.reads + i, f"node {i} of the cell reads")
        for state in self.concat if isinstance(self.concat, tuple) else ():
            self._check_state(state, self.reads + len(self.nodes), "the cell concatenates")

    def _check_state(self, state: object, states: int, does: str) -> None:
        if isinstance(state, int) and not 0 <= state < states:
            raise BuildError(f"{does} state {state}: give one from 0 to {states - 1}")

    @property
    def inputs(self) -> int:
        return self.reads

    def build(self, site: Site) -> nn.Module:
        # As in DARTS: in a supernet, affine norms would rescale the operations that the alphas weigh.
        site = replace(site, affine=site.relaxation is None)
        shapes = self._state_shapes(site)
        nodes = [self._build_node(site, shapes, edges) for edges in self.nodes]
        adapters = [_adapter(shapes[i], shapes[-1], site.affine) for i in self.concatenated()]
        return CellModule(self._preprocessors(site), nodes, self.concatenated(), adapters)

    def shape(self, site: Site) -> Shape:
        _, height, width = Node.shape(self, site)
        return len(self.concatenated()) * site.channels, height, width

    def concatenated(self) -> tuple[int, ...]:
        """Return the states that the output concatenates."""
        if self.concat is not None:
            return self.concat
        # In a supernet an edge whose source is open counts as reading no state.
        read = {edge.source for edges in self.nodes for edge, _ in _edges(edges)}
        return tuple(i for i in range(self.reads + len(self.nodes)) if i not in read)

    def _state_shapes(self, site: Site) -> list[Shape]:
        """Return the shapes of the inputs after preprocessing, and of the nodes."""
        inner = site.channels, *site.shape[1:]
        inputs = [inner] * self.reads if self.preprocess != "never" else [site.shape]
        # In the first cell both inputs are the stem's output, and `_previous` leaves the first as it is.
        if self.reads == 2 and self.preprocess == "previous_if_different" and site.before is None:
            inputs[0] = site.shape
        return inputs + [Node.shape(self, site)] * len(self.nodes)

    def _preprocessors(self, site: Site) -> list[nn.Module]:
        if self.preprocess == "never":
            return [nn.Identity() for _ in range(self.reads)]
        last = nn.Sequential(*relu_conv_norm((site.shape[0], site.channels), affine=site.affine))
        return [last] if self.reads == 1 else [self._previous(site), last]

    def _previous(self, site: Site) -> nn.Module:
        """Return the module that brings the output before the last to the size of the last and the cell's width."""
        if self.preprocess == "previous_if_different" and site.before in (None, (site.channels, *site.shape[1:])):
            return nn.Identity()
        before = site.before or site.shape
        if before[1:] != site.shape[1:]:
            return FactorizedReduce((before[0], site.channels), affine=site.affine)
        return nn.Sequential(*relu_conv_norm((before[0], site.channels), affine=site.affine))

    def _build_node(self, site: Site, shapes: Sequence[Shape], edges: Any) -> list[tuple[int, nn.Module]]:
        built = []
        for edge, open_choices in _edges(edges):
            for source, choices in _sources(edge, open_choices):
                relaxations = [site.relaxed(choice) for choice, _ in choices]
                stride = site.stride if source < self.reads else 1  # nodes already have the reduced size
                module = site.put(shapes[source], stride=stride).build(edge.operation)
                for relaxation, (choice, index) in zip(relaxations, choices, strict=True):
                    module = relaxation.weigh(choice, index, module)
                built.append((source, module))
        return built


Path = tuple[tuple[Choice, int], ...]
"""The open choices, each with an option, that lead to a part of a cell; the innermost first."""


def _edges(edges: Any, path: Path = ()) -> Iterator[tuple[Edge, Path]]:
    """Yield the edges of a node; in a supernet, all edges that it may have."""
    if isinstance(edges, Edge):
        yield edges, path
        return
    for i, each in enumerate(edges.options if isinstance(edges, Choice) else edges):
        yield from _edges(each, ((edges, i), *path) if isinstance(edges, Choice) else path)


def _sources(edge: Edge, path: Path) -> Iterator[tuple[int, Path]]:
    """Yield the state that an edge reads; in a supernet, every state that it may read, each with separate weights."""
    if not isinstance(edge.source, Choice):
        yield edge.source, path
        return
    for i, source in enumerate(edge.source.options):
        yield source, ((edge.source, i), *path)


@record
class Cells:
    """The two cells of a NASNet-like network: one keeps the size of its input, the other halves it."""

    normal: Cell
    reduction: Cell


def _adapter(shape: Shape, output: Shape, affine: bool) -> nn.Module:
    """Return the module that brings a concatenated state to the output's size and width, as the released NASNet code: no ReLU."""
    if shape == output:
        return nn.Identity()
    if shape[1:] != output[1:]:
        return FactorizedReduce((shape[0], output[0]), relu=False, affine=affine)
    return nn.Sequential(*relu_conv_norm((shape[0], output[0]), affine=affine)[1:])


@final
class CellModule(nn.Module):
    """The graph of a cell; drop path drops whole edges in training, except identities (NASNet, DARTS)."""

    def __init__(
        self,
        preprocessors: list[nn.Module],
        nodes: list[list[tuple[int, nn.Module]]],
        concat: tuple[int, ...],
        adapters: list[nn.Module],
    ) -> None:
        super().__init__()
        self.preprocess = nn.ModuleList(preprocessors)
        self.sources = [[source for source, _ in edges] for edges in nodes]
        self.nodes = nn.ModuleList(nn.ModuleList(operation for _, operation in edges) for edges in nodes)
        self.concat = concat
        self.adapt = nn.ModuleList(adapters)
        self.drop_path = DropPath()

    def forward(self, *inputs: Tensor) -> Tensor:
        states = [preprocess(x) for preprocess, x in zip(self.preprocess, inputs, strict=True)]
        for sources, operations in zip(self.sources, self.nodes, strict=True):
            states.append(self._node(states, sources, operations))
        outputs = [adapt(states[i]) for adapt, i in zip(self.adapt, self.concat, strict=True)]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)

    def _node(self, states: list[Tensor], sources: list[int], operations: nn.Module) -> Tensor:
        total: Tensor | None = None
        for source, operation in zip(sources, operations, strict=True):  # type: ignore[call-overload]
            edge = operation(states[source])
            if not isinstance(operation, nn.Identity):
                edge = self.drop_path(edge)
            total = edge if total is None else total + edge
        assert total is not None
        return total
