"""Grouped cells: a supernet's cells computed by few large kernels instead of many small ones; the same function.

Work that the edges leaving one state have in common is done once: the ReLU that opens an option, and poolings with their
norm. Equal options, such as the 3x3 separable convolutions on all edges leaving a state, run as one operation on
concatenated channels. The weight of an option becomes the scale of its last norm. The plain cell, `CellModule`, is the
reference.

Terms: a state is an input or node of the cell, (B, C, H, W). An edge "i-j" is input j of node i. A branch is one option
on an edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add, mul
from typing import final

import torch
from torch import Tensor, nn

from nas.records import RecordError
from nas.supernets.gates import Gates, Places
from nas.supernets.grouped_ops import OperationGroup, Shared, mixtures, preparation, signature, steps, weighted
from nas.supernets.mixed import Mixed, WeightedBranch
from nas.topology.cell import CellModule


def group_cells(model: nn.Module) -> None:
    """Replace the cells of a model by their grouped forms, inner cells first; a cell without open edges stays."""
    # `modules` lists parents first: in reverse, a cell inside a cell is replaced before the outer one is grouped
    made: dict[nn.Module, nn.Module] = {}
    for parent in reversed(list(model.modules())):
        for name, child in parent.named_children():
            if isinstance(child, CellModule):
                if child not in made:  # a cell that occurs twice shares its weights, and so its grouped form
                    made[child] = grouped(child)
                setattr(parent, name, made[child])


def grouped(cell: CellModule) -> nn.Module:
    """Return the grouped form of a built cell; it takes over the cell's weights, stacked, with the same number and values.

    Inputs and outputs are those of the cell. Its norms must be those of a supernet: not affine, with batch statistics. An
    option that is not supported, or has another norm, is computed by its own module, where it is active. All others are
    always computed: so it raises RecordError where gradients are wanted and such an option is not active. Without
    gradients an inactive option counts as zero.
    """
    return GroupedCell(cell) if any(map(_branches, _operations(cell))) else cell


def _operations(cell: CellModule) -> list[nn.Module]:
    """Return the operations on all edges of a cell."""
    return [operation for node in cell.nodes for operation in node.children()]


def _branches(operation: nn.Module) -> list[tuple[Places, nn.Module]]:
    """Return the modules that an edge adds up, each with the options that scale it; empty where the edge is not open."""
    places: Places = ()
    while isinstance(operation, WeightedBranch):
        places, operation = (*places, (operation.name, operation.index)), operation.branch
    if isinstance(operation, Mixed):
        return [((*places, (operation.name, i)), operation.options[i]) for i in sorted(operation.computed)]
    return [(places, operation)] if places else []


def _zeros(operation: nn.Module) -> nn.Module | None:
    """Return the zero operation among the options of an open edge, or None."""
    while isinstance(operation, WeightedBranch):
        operation = operation.branch
    if not isinstance(operation, Mixed):
        return None
    computed = operation.computed
    return next((option for i, option in enumerate(operation.options) if i not in computed), None)


@final
class GroupedCell(nn.Module):
    """The forward pass of a cell, state by state: once a state is known, all open edges that leave it are computed."""

    def __init__(self, cell: CellModule) -> None:
        super().__init__()
        self.preprocess, self.adapt, self.concat = cell.preprocess, cell.adapt, cell.concat
        self.drop_path, self.sources = cell.drop_path, cell.sources
        self.alone = nn.ModuleDict()
        open_edges: dict[str, dict[str, list[tuple[Places, nn.Module]]]] = {}
        zeros: dict[str, nn.Module] = {}
        for i, (sources, operations) in enumerate(zip(cell.sources, cell.nodes, strict=True)):
            for j, (source, operation) in enumerate(zip(sources, operations.children(), strict=True)):
                branches = _branches(operation)
                if branches:
                    open_edges.setdefault(str(source), {})[f"{i}-{j}"] = branches
                    if (zero := _zeros(operation)) is not None:
                        zeros[f"{i}-{j}"] = zero
                else:
                    self.alone[f"{i}-{j}"] = operation
        parts = [each for each in cell.modules() if isinstance(each, Mixed | WeightedBranch)]
        leaving = {source: Leaving(edges, zeros, parts[0].gates) for source, edges in open_edges.items()}
        self.leaving = nn.ModuleDict(leaving)
        self.scales = Scales(cell, parts, {source: each.places for source, each in leaving.items()})

    def forward(self, *inputs: Tensor) -> Tensor:
        states: list[Tensor] = []
        edges: dict[str, Tensor] = {}
        scales = self.scales()
        # states are numbered as in a Cell: the inputs first, then the nodes
        for number in range(len(inputs) + len(self.sources)):
            node = number - len(inputs)
            state = self.preprocess[number](inputs[number]) if node < 0 else self._node(node, states, edges)
            states.append(state)
            if str(number) in scales:
                edges.update(self.leaving[str(number)](state, scales[str(number)]))
        outputs = [adapt(states[i]) for adapt, i in zip(self.adapt, self.concat, strict=True)]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, 1)

    def _node(self, node: int, states: Sequence[Tensor], edges: dict[str, Tensor]) -> Tensor:
        """Add up the edges that enter a node; drop path applies to all but identities."""
        parts = []
        for i, source in enumerate(self.sources[node]):
            name = f"{node}-{i}"
            edge = edges.pop(name) if name in edges else self.alone[name](states[source])
            identity = name in self.alone and isinstance(self.alone[name], nn.Identity)
            parts.append(edge if identity else self.drop_path(edge))
        return reduce(add, parts)


@dataclass(frozen=True, slots=True, eq=False)
class _Branch:
    """A module on an edge; `edge` is the index among the edges that leave the state."""

    edge: int
    places: Places
    module: nn.Module
    steps: list[nn.Module] | None

    @property
    def has_weights(self) -> bool:
        return any(map(weighted, self.steps or []))


@final
class Leaving(nn.Module):
    """All open edges that leave one state; returns the output of each edge, by the edge's name.

    An edge with no active option returns its `zeros` option if it has one; else, as on an edge that is not in the path,
    one zero, (1, 1, 1, 1).

    `places` lists what the scales in `forward` belong to, in this order: the grouped options; the maps without weights,
    edge by edge, None where an edge has no such option; the modules that are computed by themselves. The latter run only
    where they are active: otherwise choices inside them may have no active option, and so no output of the right shape.
    """

    def __init__(
        self,
        edges: Mapping[str, Sequence[tuple[Places, nn.Module]]],
        zeros: Mapping[str, nn.Module],
        gates: Gates,
    ) -> None:
        super().__init__()
        self.zeros = nn.ModuleDict({name: zeros[name] for name in edges if name in zeros})
        self.edges, self.shared, self.gates = list(edges), Shared(), gates
        self.groups, self.reads, self.owners = nn.ModuleList(), list[int](), list[tuple[int, ...]]()
        self.places: list[Places | None] = []
        # three kinds of branches, in the order of `places`: with weights, of known steps without weights, and unknown
        branches = [_Branch(i, *each, steps(each[1])) for i, edge in enumerate(edges.values()) for each in edge]
        for members in _by_steps(branches):
            self._add_group(members)
        self.maps = self._add_maps([each for each in branches if each.steps is not None and not each.has_weights])
        unknown = [each for each in branches if each.steps is None]
        self.others = nn.ModuleList(each.module for each in unknown)
        self.others_at = [(each.edge, each.places) for each in unknown]
        self.places += [each.places for each in unknown]
        options = sum(map(len, self.owners))
        self.channels: int = next((each.channels for each in self.groups if isinstance(each, OperationGroup)), 0)
        self.widths: list[int] = [len(owners) * self.channels for owners in self.owners]
        # lengths of the three parts of `scales`, as in `places`
        self.sizes = [options, len(self.edges) * len(self.maps), len(unknown)]

    def _add_group(self, members: Sequence[_Branch]) -> None:
        """Add options with equal steps as one group, after the steps that they share."""
        options = [each.steps or [] for each in members]
        first = next(i for i, step in enumerate(options[0]) if weighted(step))
        prepared = preparation(options[0][first], len(members))
        self.reads.append(self.shared.add([*options[0][:first], *prepared]))
        self.groups.append(OperationGroup([option[first:] for option in options]))
        self.owners.append(tuple(each.edge for each in members))
        self.places += [each.places for each in members]

    def _add_maps(self, bare: Sequence[_Branch]) -> list[int]:
        """Return the indices of the shared maps to mix; a map occurs twice where an edge has two options that produce it."""
        columns: list[tuple[int, dict[int, Places]]] = []
        for each in bare:
            made = self.shared.add(each.steps or [])
            # a column is one shared map with at most one option per edge; a second one on an edge needs a new column
            free = (column for at, column in columns if at == made and each.edge not in column)
            column = next(free, None)
            if column is None:
                column = {}
                columns.append((made, column))
            column[each.edge] = each.places
        self.places += [column.get(edge) for edge in range(len(self.edges)) for _, column in columns]
        return [at for at, _ in columns]

    def forward(self, state: Tensor, scales: Tensor) -> dict[str, Tensor]:
        made = self.shared(state)
        options, maps, others = torch.split(scales, self.sizes)
        parts: list[list[Tensor]] = [[] for _ in self.edges]
        # a group's output is (B, edges * C, H, W): one chunk of channels per edge
        for owners, total in self._totals(made, options).items():
            for edge, part in zip(owners, total.chunk(len(owners), 1), strict=True):
                parts[edge].append(part)
        if self.maps:
            mixed = mixtures([made[i] for i in self.maps], maps.view(len(self.edges), -1))
            for edge, part in enumerate(mixed):
                parts[edge].append(part)
        for (edge, places), other, scale in zip(self.others_at, self.others, others.unbind(), strict=True):
            if self.gates.open(places):
                parts[edge].append(other(state) * scale)
        edges = zip(self.edges, parts, strict=True)
        return {name: reduce(add, each) if each else self._nothing(name, state) for name, each in edges}

    def _nothing(self, name: str, state: Tensor) -> Tensor:
        """Return the output of an edge that has no active option."""
        zeros: Tensor = self.zeros[name](state) if name in self.zeros else state.new_zeros(1, 1, 1, 1)
        return zeros

    def _totals(self, made: Sequence[Tensor], scales: Tensor) -> dict[tuple[int, ...], Tensor]:
        """Run all groups, and add up those that belong to the same edges."""
        totals: dict[tuple[int, ...], Tensor] = {}
        # one scale per option becomes one per output channel, (options * C,), split by group
        parts = torch.split(scales.repeat_interleave(self.channels), self.widths)
        for group, at, owners, part in zip(self.groups, self.reads, self.owners, parts, strict=True):
            new = group(made[at], part)
            totals[owners] = totals[owners].add_(new) if owners in totals else new
        return totals


def _by_steps(branches: Sequence[_Branch]) -> list[list[_Branch]]:
    """Return the branches with weights, grouped by equal steps."""
    found: dict[tuple[str, ...], list[_Branch]] = {}
    for each in branches:
        if each.has_weights:
            found.setdefault(tuple(map(signature, each.steps or [])), []).append(each)
    return list(found.values())


@final
class Scales(nn.Module):
    """The gates, read as one scale per place: returns the scales of each `Leaving`, by its name."""

    constants: Tensor
    index: Tensor

    def __init__(
        self, cell: CellModule, parts: Sequence[Mixed | WeightedBranch], places: Mapping[str, Sequence[Places | None]]
    ) -> None:
        super().__init__()
        self.gates: Gates = parts[0].gates
        self.mixed = {each.name: len(each.options) for each in parts if isinstance(each, Mixed)}
        self.sizes = {name: len(each) for name, each in places.items()}
        every = [each for part in places.values() for each in part]
        self.options: dict[str, int] = {}
        for name, i in (place for each in every for place in each or ()):
            self.options[name] = max(self.options.get(name, 0), i + 1, self.mixed.get(name, 0))
        like = next(cell.parameters(), torch.empty(()))
        self.register_buffer("constants", like.new_tensor([1.0, 0.0]), persistent=False)
        self.register_buffer("index", self._index(every).to(like.device), persistent=False)

    def _index(self, every: Sequence[Places | None]) -> Tensor:
        """Return the index of each scale's factors, (factors, scales), into the two constants and the concatenated gates.

        A scale is a product of gates. Missing factors point at the constant 1; a place of None points at the constant 0.
        """
        starts, start = {}, len(self.constants)
        for name, size in self.options.items():
            starts[name], start = start, start + size
        # index 0 is the constant 1, index 1 the constant 0
        found = [[1] if each is None else [starts[name] + i for name, i in each] for each in every]
        factors = max(map(len, found))
        return torch.tensor([each + [0] * (factors - len(each)) for each in found]).T.contiguous()

    def forward(self) -> dict[str, Tensor]:
        # one gather and one product for the whole cell instead of one multiplication per option
        rows = torch.cat([self.constants, *(self._row(name, size) for name, size in self.options.items())])
        scales = reduce(mul, rows[self.index].unbind())
        return dict(zip(self.sizes, torch.split(scales, list(self.sizes.values())), strict=True))

    def _row(self, name: str, size: int) -> Tensor:
        """Return the weights of a choice, (size,), with inactive options at 0."""
        gate = self.gates[name] if name in self.mixed else self.gates.get(name)
        if gate is None:
            return self.constants[:1].expand(size)
        row = self.constants[:1].expand(size) if gate.weights is None else gate.weights
        row = row if len(row) == size else row[:size]  # the options that this cell uses; the choice may have more
        if set(gate.active).issuperset(range(size)):
            return row
        if torch.is_grad_enabled():
            raise RecordError(
                f"choice {name!r} computes the options {list(gate.active)} of {size}, and grouped cells train all at once: "
                "leave the cells of this supernet plain"
            )
        return row * row.new_tensor([float(i in gate.active) for i in range(size)])
