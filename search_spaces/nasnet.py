"""NASNet, AmoebaNet and PNASNet: two cells of five pairwise combinations; states and operations are open.

Source: Zoph et al. 2018, arXiv:1707.07012, section 3 and appendix A; Real et al. 2019, arXiv:1802.01548, section 3.1;
PNASNet: Liu et al. 2018, arXiv:1712.00559. Networks as in the released TensorFlow code (tensorflow/models slim nasnet and
pnasnet, tensorflow/tpu amoeba_net), whose cells number the current input 0 and the previous 1; here, as everywhere in this
project, the previous is 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from nas.building import Node
from nas.cell_text import GraphText, describe_cells, parse_graphs
from nas.family import Family
from nas.operations.conv import AsymmetricConv, Conv
from nas.operations.pooling import AvgPool, MaxPool
from nas.operations.separable import DilConv, SepConv
from nas.operations.skip import Skip
from nas.records import Positive, RecordError, nearest
from nas.space import one_of
from nas.topology.cell import Cell, Cells, Edge
from nas.topology.chain import Stage
from nas.topology.heads import Classifier
from nas.topology.network import Auxiliary, Network

NAMES: dict[str, Node] = {
    "none": Skip(strided="conv"),
    "sep3": SepConv(3),
    "sep5": SepConv(5),
    "sep7": SepConv(7),
    "avg3": AvgPool(3),
    "max3": MaxPool(3),
    "max5": MaxPool(5),
    "max7": MaxPool(7),
    "dil3": DilConv(3),
    "c1x1": Conv(1),
    "c3x3": Conv(3, bottleneck=4),
    "c1x3_3x1": AsymmetricConv(3, bottleneck=4),
    "c1x7_7x1": AsymmetricConv(7, bottleneck=4),
}
"""The 13 operations of NASNet; `none` is the identity. The 3x3 and asymmetric ones have a bottleneck, as in the code."""

AMOEBANET = ("none", "sep3", "sep5", "sep7", "avg3", "max3", "dil3", "c1x7_7x1")
"""The eight of them that AmoebaNet uses."""

_NAMES = {operation: name for name, operation in NAMES.items()}


def nasnet(operations: Sequence[str] = tuple(NAMES), combinations: int = 5) -> Cells:
    """Return the space: each combination adds two states, each after one operation; unread states are concatenated."""
    for i, name in enumerate(operations):
        if name not in NAMES:
            raise RecordError(f"operations[{i}] is {name!r}: {nearest(name, NAMES)}", f"operations[{i}]")
    chosen = [NAMES[name] for name in operations]

    def open_cell(name: str) -> Cell:
        def edge(node: int, side: str) -> Edge:
            place = f"{name}/{node}/{side}"
            return Edge(one_of(f"{place}/state", range(node)), one_of(f"{place}/operation", chosen))

        nodes = tuple((edge(node, "left"), edge(node, "right")) for node in range(2, 2 + combinations))
        return Cell(nodes, concat=None, preprocess="previous_if_different")

    return Cells(open_cell("normal"), open_cell("reduction"))


def amoebanet(combinations: int = 5) -> Cells:
    """Return the space of AmoebaNet: NASNet's with eight operations."""
    return nasnet(AMOEBANET, combinations)


def from_official(cells: Mapping[str, Mapping[str, Sequence[Any]]]) -> Cells:
    """Return the cells of `normal` and `reduce`, each with `ops`, `idx` and `used`, as in the released code.

    A state whose `used` is 0 is concatenated, whether an edge reads it or not. NASNet-A, AmoebaNet-A and PNASNet-5 also
    concatenate states that are read. So they are no members of the space, which concatenates the unread states only, as in
    the papers on NASNet and AmoebaNet.
    """
    return Cells(*(_read_cell(cells[name]) for name in ("normal", "reduce")))


def _read_cell(cell: Mapping[str, Sequence[Any]]) -> Cell:
    for name in cell["ops"]:
        if name not in NAMES:
            raise RecordError(f"the cell has an operation {name!r}: {nearest(name, NAMES)}")
    edges = [Edge(_swap(state), NAMES[name]) for name, state in zip(cell["ops"], cell["idx"], strict=True)]
    concat = sorted(_swap(state) for state, used in enumerate(cell["used"]) if not used)
    nodes = tuple(tuple(edges[i : i + 2]) for i in range(0, len(edges), 2))
    unread = Cell(nodes, None, preprocess="previous_if_different")
    return unread if unread.concatenated() == tuple(concat) else replace(unread, concat=tuple(concat))


def to_official(cells: Cells) -> dict[str, dict[str, list[Any]]]:
    """Return two cells in the form of the released code."""
    return {"normal": _write_cell(cells.normal), "reduce": _write_cell(cells.reduction)}


def _write_cell(cell: Cell) -> dict[str, list[Any]]:
    edges = [edge for node in cell.nodes for edge in node]
    concatenated = {_swap(state) for state in cell.concatenated()}
    return {
        "ops": [_NAMES[edge.operation] for edge in edges],
        "idx": [_swap(edge.source) for edge in edges],
        "used": [int(state not in concatenated) for state in range(2 + len(cell.nodes))],
    }


def _swap(state: int) -> int:
    """Exchange the two inputs, which the released code numbers the other way round."""
    return 1 - state if state < 2 else state


def describe(cells: Cells) -> str:
    """Return two cells as short text, with the edges of each combination in parentheses."""
    return describe_cells(cells, _NAMES, "unread")


def parse(text: str) -> Cells:
    """Return the two cells of a text by `describe`."""
    graphs = parse_graphs(text, NAMES, "normal|reduce")
    for key in ("normal", "reduce"):
        if key not in graphs:
            raise RecordError(f"the text has no {key!r}: give `normal: ...  reduce: ...`")
    return Cells(*(_of_text(graphs[key]) for key in ("normal", "reduce")))


def _of_text(graph: GraphText) -> Cell:
    concat = graph.concat if isinstance(graph.concat, tuple) else None
    return Cell(graph.nodes, concat, preprocess="previous_if_different")


def network(
    cells: Cells,
    channels: Positive = 32,
    cells_per_stage: Positive = 6,
    classes: Positive = 10,
    stem: Literal["cifar", "imagenet"] = "cifar",
    stem_channels: int | None = None,
    skip_reduction: bool = False,
    auxiliary: bool = False,
    count_reductions: bool = False,
) -> Network:
    """Stack two cells as NASNet does: three stages of N normal cells, a reduction cell before the second and the third.

    The ImageNet stem is a strided convolution (32 channels; 96 in NASNet-A large) and two reduction cells of a quarter and
    half the width. The auxiliary head follows the normal cell before the second reduction. `skip_reduction` is from NASNet-A
    large: the cell after a reduction reads past it. `count_reductions` is from PNASNet, whose one cell also reduces: the
    first of a stage's N cells is the reduction.
    """
    imagenet = stem == "imagenet"
    stages = [Stage(cells.reduction, 1, channels // part, 2) for part in ((4, 2) if imagenet else ())]
    for doubled in range(3):
        width = channels * 2**doubled
        if doubled:
            stages.append(Stage(cells.reduction, 1, width, 2))
        normal = cells_per_stage - (count_reductions and doubled > 0)
        if normal:
            stages.append(Stage(cells.normal, normal, width, skip_reduction=skip_reduction and doubled > 0))
    if imagenet:
        opening = Stage(Conv(3, activation="none", padding="valid"), 1, stem_channels or 32, 2)
    else:
        opening = Stage(Conv(3, activation="none"), 1, stem_channels or 3 * channels)
    # The last of 2N normal cells and one reduction or, with `count_reductions`, of 2N cells; layers are counted from 0.
    after = 2 * cells_per_stage - count_reductions + (2 if imagenet else 0)
    extra = Auxiliary(after, classes) if auxiliary else None
    return Network(opening, tuple(stages), Classifier(classes, relu=True), extra)


# ops: two operations per node; idx: their states; used: 0 for each state that is concatenated
_PNASNET_5: dict[str, Sequence[Any]] = {
    "ops": "sep5 max3 sep7 max3 sep5 sep3 sep3 max3 sep3 none".split(),
    "idx": (1, 1, 0, 0, 0, 0, 4, 0, 1, 0),
    "used": (1, 1, 0, 0, 0, 0, 0),
}

PUBLISHED: dict[str, Cells] = {
    "NASNet_A": from_official(
        {
            "normal": {
                "ops": "sep5 sep3 sep5 sep3 avg3 none avg3 avg3 sep3 none".split(),
                "idx": (0, 1, 1, 1, 0, 1, 1, 1, 0, 0),
                "used": (1, 0, 0, 0, 0, 0, 0),
            },
            "reduce": {
                "ops": "sep5 sep7 max3 sep7 avg3 sep5 none avg3 sep3 max3".split(),
                "idx": (0, 1, 0, 1, 0, 1, 3, 2, 2, 0),
                "used": (1, 1, 1, 0, 0, 0, 0),
            },
        }
    ),
    "AmoebaNet_A": from_official(
        {
            "normal": {
                "ops": "avg3 max3 sep3 none none avg3 sep3 sep5 avg3 sep3".split(),
                "idx": (0, 0, 1, 1, 0, 1, 0, 2, 5, 0),
                "used": (1, 0, 1, 0, 0, 1, 0),
            },
            "reduce": {
                "ops": "sep3 avg3 max3 sep7 max3 max3 sep3 c1x7_7x1 avg3 sep7".split(),
                "idx": (1, 0, 0, 2, 1, 0, 4, 0, 1, 0),
                "used": (1, 1, 0, 0, 0, 0, 0),
            },
        }
    ),
    "PNASNet_5": from_official({"normal": _PNASNET_5, "reduce": _PNASNET_5}),
}

SOURCES = {
    "AmoebaNet_A": "Real et al. 2019, arXiv:1802.01548, figure 5",
    "PNASNet_5": "Liu et al. 2018, arXiv:1712.00559, figure 1",
}

family = Family("Zoph et al. 2018, arXiv:1707.07012", nasnet, network, describe, PUBLISHED, SOURCES, parse=parse)
