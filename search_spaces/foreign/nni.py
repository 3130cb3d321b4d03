"""NNI: the JSON of `export_top_models` and the one-shot strategies for the spaces DARTS and NasBench201 of its hub.

Source: microsoft/nni, nni/nas/hub/pytorch/nasnet.py and nasbench201.py. DARTS: `normal/op_2_0` is the first operation of node
2, `normal/input_2_0` the state that it reads, a number (2.x) or a list of one (3.0); `width` and `depth` are channels and
layers. NasBench201: `cell__0_1` (2.x) or `cell/0_1` (3.0) is the operation from state 0 to state 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nas.family import StackedNetwork
from nas.fields import shown
from nas.foreign import Foreign
from nas.records import RecordError, nearest
from nas.topology.cell import Cell, Cells
from search_spaces.darts import check_whole, read_edge
from search_spaces.nasbench201 import from_edges

# A DARTS label: cell, what it decides, node, first or second edge. A NasBench201 label ends in the two states of an edge.
_DARTS = re.compile(r"(?:model/)?(normal|reduce)/(op|input)_(\d+)_(\d+)")
_NASBENCH201 = re.compile(r"(?:.*?(?:__|/))?([0-2])_([1-3])")
OPTIONS = {"width": "channels", "depth": "layers", "num_cells": "layers"}
"""NNI's names of the network's options, with ours."""

NODES = range(2, 6)
"""The nodes of a cell: states 2 to 5. Files of the spaces with five nodes do not contain the concatenated states."""


def recognises(content: Any) -> bool:
    """Whether a content is a mapping with the labels of such a space."""
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        return False
    labels = content.keys() - OPTIONS.keys()
    return bool(labels) and (any(map(_DARTS.fullmatch, labels)) or all(_NASBENCH201.fullmatch(key) for key in labels))


def read(content: Any) -> StackedNetwork:
    """Return the network of the choices that NNI took."""
    labels = {key: value for key, value in content.items() if key not in OPTIONS}
    if not any(map(_DARTS.fullmatch, labels)):
        return StackedNetwork("nasbench201", _nasbench201(labels))
    network = {OPTIONS[key]: _number(key, content[key]) for key in OPTIONS if key in content}
    return StackedNetwork("darts", _darts(labels), network)


def _darts(labels: Mapping[str, Any]) -> Cells:
    known = [
        f"{cell}/{what}_{node}_{i}" for cell in ("normal", "reduce") for node in NODES for i in (0, 1) for what in _WHAT
    ]
    given = {key.removeprefix("model/"): _only(value) for key, value in labels.items()}
    for key in given:
        if key not in known:
            raise RecordError(f"{key!r} is not a label of NNI's DARTS, which has nodes 2 to 5: {nearest(key, known)}")
    for key in known:
        if key not in given:
            raise RecordError(
                f"{key!r} is missing: give all {len(known)} labels, for two edges of nodes 2 to 5 of both cells"
            )

    def cell(name: str) -> Cell:
        edges = [
            [read_edge(name, node, (given[f"{name}/op_{node}_{i}"], given[f"{name}/input_{node}_{i}"])) for i in (0, 1)]
            for node in NODES
        ]
        made = Cell(tuple(tuple(sorted(pair, key=lambda edge: edge.source)) for pair in edges), concat=tuple(NODES))
        check_whole(name, made)
        return made

    return Cells(cell("normal"), cell("reduce"))


_WHAT = ("op", "input")
_EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))


def _nasbench201(labels: Mapping[str, Any]) -> Cell:
    given: dict[tuple[int, int], Any] = {}
    for key, value in labels.items():
        source, node = map(int, key[-3:].split("_"))
        operation = _only(value)
        given[source, node] = f"nor_{operation}" if str(operation).startswith("conv_") else operation
    for source, node in _EDGES:
        if (source, node) not in given:
            raise RecordError(
                f"the operation from state {source} to {node}, cell/{source}_{node}, is missing: give all six"
            )
    try:
        return from_edges([[(given[source, node], source) for source in range(node)] for node in (1, 2, 3)])
    except RecordError as error:
        raise RecordError(f"the cell {error}") from None


def _only(value: Any) -> Any:
    """Return the item of a list of one; other values unchanged."""
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


def _number(key: str, value: Any) -> int:
    only = _only(value)
    if type(only) is not int or only < 1:
        raise RecordError(f"{key} is {shown(value)}: give a whole number")
    return only


foreign = Foreign("microsoft/nni", recognises, read)
