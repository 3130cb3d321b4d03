"""Forms: the forward of a cell and of a network, written as in a paper's listing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from torch import nn

from nas.export.source.forward import Forward, method
from nas.export.source.origins import Origin
from nas.export.source.terms import WIDTH, Listed, Name, Term, Total, call, statement
from nas.notation import notation
from nas.topology.cell import Cell, CellModule
from nas.topology.network import _NetworkModule as NetworkModule

__all__ = ["CellModule", "NetworkModule", "UnrolledCells", "is_chain", "network"]


class UnrolledCells:
    """A writer of cells; all cells of one node get the same forward, wherever they are."""

    def __init__(self, model: nn.Module, origins: Mapping[str, Origin]) -> None:
        self.origins = origins
        self.working: dict[object, set[str]] = {}
        for name, module in model.named_modules():
            if isinstance(module, CellModule):
                parts = {"preprocess": module.preprocess, "adapt": module.adapt}.items()
                working = {f"{key}{i}" for key, row in parts for i, each in enumerate(row) if not _is_identity(each)}
                self.working.setdefault(self._node(name), set()).update(working)

    def _node(self, name: str) -> object:
        return self.origins[name].node if name in self.origins else name

    def forward(self, name: str, module: CellModule) -> Forward:
        """Return a cell's forward node by node, without parts that are identities everywhere; comments name the operations."""
        node, working = self._node(name), self.working[self._node(name)]
        words = [[notation(edge.operation) for edge in edges] for edges in node.nodes] if isinstance(node, Cell) else []
        reads = len(module.preprocess)
        names = ["x"] if reads == 1 else ["before", "x"]
        prepared = [i for i in range(reads) if f"preprocess{i}" in working]
        states = [f"state{i}" if i in prepared else names[i] for i in range(reads)]
        states += [f"state{reads + i}" for i in range(len(module.sources))]
        body = [f"        {states[i]} = self.preprocess[{i}]({names[i]})" for i in prepared]
        for i, sources in enumerate(module.sources):
            body += _sum(i, states[reads + i], [states[source] for source in sources], words[i] if words else [])
        outputs: list[Term] = []
        for i, source in enumerate(module.concat):
            state = Name(states[source])
            outputs.append(call(f"self.adapt[{i}]", state) if f"adapt{i}" in working else state)
        joined = outputs[0] if len(outputs) == 1 else call("torch.cat", Listed(tuple(outputs)), Name("1"))
        body += statement("return ", joined)
        attributes = [
            *(["preprocess"] if prepared else []),
            "nodes",
            *(["adapt"] if any(each.startswith("adapt") for each in working) else []),
        ]
        return Forward(method(names, body), tuple(attributes), True, frozenset(["import torch"]))


def _is_identity(module: nn.Module) -> bool:
    return isinstance(module, nn.Identity)


def _sum(node: int, state: str, sources: Sequence[str], words: Sequence[str]) -> list[str]:
    """Return the lines of the sum of a node's edges; a comment names their operations where there is room."""
    edges = tuple(call(f"self.nodes[{node}][{i}]", Name(source)) for i, source in enumerate(sources))
    written_term = list(statement(f"{state} = ", Total(edges) if len(edges) > 1 else edges[0]))
    remark = f"  # {' + '.join(words)}"
    if words and len(written_term) == 1 and len(written_term[0] + remark) <= WIDTH:
        written_term[0] += remark
    return written_term


def is_chain(module: NetworkModule) -> bool:
    """Return whether each layer of a network reads only the one before it."""
    return all(before is None for before in module.befores)


def network(module: NetworkModule) -> Forward:
    """Return a network's forward: as a chain, as a chain of cells that read the last two outputs, or layer by layer."""
    # with x0 the stem's output, layer i reads x{i}, and x{befores[i]} too unless that is None
    befores = module.befores
    if is_chain(module):
        body = ["        return self.head(self.layers(self.stem(x)))"]
    elif all(before in (None, max(i - 1, 0)) for i, before in enumerate(befores)):
        body = ["        before = x = self.stem(x)", *_in_turns(befores), "        return self.head(x)"]
    else:
        body = ["        x0 = self.stem(x)"]
        for i, before in enumerate(befores):
            given = f"x{i}" if before is None else f"x{before}, x{i}"
            body.append(f"        x{i + 1} = self.layers[{i}]({given})")
        body.append(f"        return self.head(x{len(befores)})")
    return Forward(method(["x"], body), ("stem", "layers", "head"), is_wired=True)


def _in_turns(befores: Sequence[int | None]) -> list[str]:
    """Return the lines of layers that read the last one or two outputs, `x` and `before`; a run of cells is one loop."""
    body: list[str] = []
    for reads_one, run in groupby(range(len(befores)), lambda i: befores[i] is None):
        first, *rest = run
        if reads_one:
            body += [f"        before, x = x, self.layers[{i}](x)" for i in (first, *rest)]
            continue
        end = first + len(rest) + 1
        part = f"[{first or ''}:{end if end < len(befores) else ''}]"
        body.append(f"        for cell in self.layers{part if part != '[:]' else ''}:")
        body.append("            before, x = x, cell(before, x)")
    return body
