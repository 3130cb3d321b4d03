"""The modules for open choices in a supernet: mixed options, weighted branches, depths."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import final

from torch import Tensor, nn

from nas.operations.skip import Zeros
from nas.supernets.gates import Gate, Gates


@final
class Mixed(nn.Module):
    """The sum of the active options of a `one_of`, each scaled by its weight; zeros are never computed.

    Takes what the options take, one or two maps (B, C, H, W), and returns one map of their common shape. With no active
    option, as on an edge that is not in the path, it returns one zero, (1, 1, 1, 1). `keys` names the options, by which
    weights are transplanted to a supernet with fewer options.
    """

    def __init__(self, name: str, options: Sequence[nn.Module], gates: Gates, keys: Sequence[str] = ()) -> None:
        super().__init__()
        self.name, self.gates, self.keys = name, gates, tuple(keys)
        self.options = nn.ModuleList(options)
        self.computed = frozenset(i for i, option in enumerate(options) if not isinstance(option, Zeros))

    def forward(self, *inputs: Tensor) -> Tensor:
        gate = self.gates[self.name]
        if not gate.active:
            return inputs[0].new_zeros(1, 1, 1, 1)
        parts = [scaled(gate, i, self.options[i](*inputs)) for i in gate.active if i in self.computed]
        if not parts:  # only zeros are active
            zeros: Tensor = self.options[gate.active[0]](*inputs)
            return zeros
        return reduce(add, parts)


@final
class WeightedBranch(nn.Module):
    """One of several branches whose outputs are added; where it is not active it returns one zero, (1, 1, 1, 1).

    Without a gate it is active.
    """

    def __init__(self, name: str, index: int, branch: nn.Module, gates: Gates) -> None:
        super().__init__()
        self.name, self.index, self.branch, self.gates = name, index, branch, gates

    def forward(self, x: Tensor) -> Tensor:
        if not self.gates.open(((self.name, self.index),)):
            return x.new_zeros(1, 1, 1, 1)
        output: Tensor = self.branch(x)
        gate = self.gates.get(self.name)
        return output if gate is None else scaled(gate, self.index, output)


@final
class Depths(nn.Module):
    """Layers in sequence, and the mixture of their outputs at each depth that may be chosen."""

    def __init__(self, name: str, depths: Sequence[int], layers: Sequence[nn.Module], gates: Gates) -> None:
        super().__init__()
        self.name, self.depths, self.gates = name, tuple(depths), gates
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gates[self.name]
        wanted = {self.depths[i]: i for i in gate.active}
        parts = []
        # layers beyond the deepest active depth are not computed
        for depth, layer in enumerate(self.layers[: max(wanted)], 1):
            x = layer(x)
            if depth in wanted:
                parts.append(scaled(gate, wanted[depth], x))
        return reduce(add, parts)


def scaled(gate: Gate, index: int, x: Tensor) -> Tensor:
    """Return an option's output times its weight, if it has one."""
    return x * gate.scalars[index] if gate.scalars else x
