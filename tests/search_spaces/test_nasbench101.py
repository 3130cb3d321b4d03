"""NAS-Bench-101 has the networks of its released table: their parameters, its hashes, and as many different cells."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import nn

import nas
from nas.building import BuildError, Site
from nas.evaluation.evaluator import Job
from nas.evaluation.table import Table
from nas.layers.conv import ConvNormAct
from nas.profiling import profile
from nas.records import RecordError
from nas.runs.architecture import find_architecture
from nas.runs.experiment import task_of
from nas.space import SpaceError
from nas.supernets.darts import Darts
from nas.supernets.supernet import Supernet
from nas.testing.evaluators import performed
from nas.topology.dag import Dag
from search_spaces.nasbench101 import EDGES, OPERATIONS, canonical, describe, from_string, nasbench101, network

pytestmark = pytest.mark.usefixtures("one_thread")

TABLE = {
    # https://github.com/google-research/nasbench, NASBench.ipynb: the cell that it asks for, and as the table has it
    "111010 00001 0001 100 01 1:conv1x1,conv3x3,conv3x3,conv3x3,maxpool3x3": 2694282,
    "111100 00001 0001 001 10 1:conv3x3,conv1x1,maxpool3x3,conv3x3,conv3x3": 2694282,
    # the first record of nasbench_only108.tfrecord, and another one, as printed by users of the table
    "100110 10000 1001 010 10 1:conv3x3,maxpool3x3,conv3x3,conv3x3,conv1x1": 8555530,
    "101000 10110 0001 100 10 1:maxpool3x3,conv3x3,maxpool3x3,conv1x1,maxpool3x3": 3468426,
    # the most parameters of the table
    "110011 10000 1000 100 10 1:conv3x3,conv3x3,conv3x3,conv3x3,conv3x3": 49979274,
}
"""Cells and their `trainable_parameters` in the released table."""


def cell(text: str) -> Dag:
    return from_string(text.replace(" ", ""))


@pytest.mark.parametrize("text", TABLE)
def test_parameters_are_those_of_the_table(text: str) -> None:
    assert profile(network(cell(text))).params == TABLE[text]


def test_the_space_has_the_graphs_and_labels_that_the_paper_counts() -> None:
    assert nas.count(nasbench101()) == 2**21 * 3**5


def test_the_canonical_text_is_the_hash_of_the_table() -> None:
    asked, held, first, *_ = map(cell, TABLE)
    assert canonical(first) == "00005c142e6f48ac74fdcf73e3439874"
    assert canonical(asked) == canonical(held) != canonical(first)


def cells(vertices: int) -> Iterator[Dag]:
    """Yield all cells of a number of vertices, each on a path from the input to the output, of at most nine edges."""
    lengths = range(vertices - 1, 0, -1)
    for edges in product(*(product((0, 1), repeat=length) for length in lengths)):
        read = [any(edges[i][j - i - 1] for i in range(j)) for j in range(1, vertices)]
        if all(map(any, edges)) and all(read) and sum(map(sum, edges)) <= EDGES:
            for operations in product(OPERATIONS.values(), repeat=vertices - 2):
                yield Dag(operations, edges)


@pytest.mark.parametrize(
    ("vertices", "different"),
    [
        (2, 1),
        (3, 6),
        (4, 84),
        (5, 2_441),
        pytest.param(6, 62_010, marks=pytest.mark.slow),
        pytest.param(7, 359_082, marks=[pytest.mark.slow, pytest.mark.timeout(1200)]),
    ],
)
def test_as_many_cells_differ_as_were_published(vertices: int, different: int) -> None:
    assert len({canonical(each) for each in cells(vertices)}) == different


# Cases of the released model_builder_test.py, without the input: input and output channels do not matter to inner widths.
@pytest.mark.parametrize(
    ("edges", "channels", "widths"),
    [
        ("100 10 1", 16, [16, 16, 16]),
        ("1100 010 10 1", 8, [8, 8, 8, 8]),
        ("110 01 1", 15, [8, 7, 15]),
        ("1110 001 01 1", 8, [3, 3, 2, 8]),
        ("1000 110 01 1", 9, [5, 5, 4, 9]),
        ("1010 101 10 1", 15, [8, 7, 7, 15]),
        ("1", 5, [5]),
    ],
)
def test_widths_are_shared_as_in_the_released_code(edges: str, channels: int, widths: list[int]) -> None:
    rows = tuple(tuple(map(int, row)) for row in edges.split())
    assert Dag((ConvNormAct(1),) * (len(rows) - 1), rows).widths(channels) == widths  # type: ignore[arg-type]


def test_vertices_add_first_channels_and_the_output_concatenates_and_adds_the_input() -> None:
    linear = ConvNormAct(1, norm="none", activation=None, bias=False)
    # 1 and 2 are read by the output, which has 5 channels: 1 has 3 of them, and 2 reads the first 2 of 1
    graph = Dag((linear, linear), ((1, 1, 1), (1, 1), (1,)), linear)
    torch.manual_seed(0)
    module, x = Site((4, 6, 6), 5).build(graph), torch.randn(2, 4, 6, 6)
    first, second, to_1, to_2, to_output = (part for part in module.modules() if isinstance(part, nn.Conv2d))
    one = first(to_1(x))
    two = second(one[:, :2] + to_2(x))
    assert [one.shape[1], two.shape[1]] == [3, 2]
    torch.testing.assert_close(module(x), torch.cat([one, two], 1) + to_output(x))


def test_a_member_without_a_network_says_why() -> None:
    without = cell("000000 00000 0000 000 00 0:conv3x3,conv3x3,conv3x3,conv3x3,conv3x3")
    with pytest.raises(BuildError, match=r"^the graph has no path from its input to its output: give it an edge"):
        network(without)
    assert canonical(without) == "no path"
    with pytest.raises(
        BuildError, match=r"^the cell has 10 edges, and those of NAS-Bench-101 have at most 9: leave some"
    ):
        network(cell("1111 111 11 1:conv3x3,conv3x3,conv3x3"))
    with pytest.raises(BuildError, match="1 channels cannot be shared among 2 vertices: give more channels"):
        nas.profile(network(cell("110 01 1:conv3x3,conv1x1"), channels=1), (3, 32, 32))


def test_the_operations_of_a_known_graph_relax() -> None:
    known = Dag(nasbench101().operations[:2], ((1, 1, 0), (1, 1), (1,)))
    with torch.device("meta"):
        supernet = Supernet(network(known, channels=8, cells_per_stage=1), Darts(), (3, 16, 16))
        assert supernet(torch.randn(2, 3, 16, 16)).shape == (2, 10)
    with pytest.raises(SpaceError, match=r"^choice '0-1' does not relax: it is an edge of a free graph"):
        Supernet(network(nasbench101(), channels=8), Darts(), (3, 16, 16))


def test_unused_vertices_change_nothing() -> None:
    small, larger = cell("111:conv3x3"), cell("1101 001 00 1:conv3x3,maxpool3x3,conv1x1")
    assert describe(small) == "111:conv3x3"
    assert len(small.operations) == len(larger.operations) == 5
    assert canonical(small) == canonical(larger)
    assert profile(network(small)).params == profile(network(larger)).params
    assert nas.decisions(nasbench101(), small)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("11:conv3x3", "it has 1 operations and 2 edges; write the upper triangle"),
        ("111:conv5x5", "has an operation 'conv5x5': did you mean 'conv3x3'"),
        (f"{'1' * 28}:{','.join(['conv3x3'] * 6)}", "with at most 5 operations"),
    ],
)
def test_a_damaged_text_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        from_string(text)


def test_the_text_of_a_cell_is_read_without_its_family() -> None:
    for text in ("1:", "111:conv3x3", "110011:conv3x3,maxpool3x3"):
        assert (
            find_architecture(text).architecture == find_architecture(f"nasbench101:{text}").architecture == cell(text)
        )


def test_the_names_of_the_released_code_are_read() -> None:
    assert from_string("110011:conv3x3-bn-relu, maxpool3x3") == from_string("110011:conv3x3,maxpool3x3")


def test_a_table_with_one_row_for_isomorphic_cells_has_all_of_them(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text('architecture,accuracy\n"110011:conv3x3,maxpool3x3",93.5\n111:conv3x3,90\n', "utf-8")
    table = Table(str(file), validation="accuracy", key="text", missing="canonical")
    task = task_of("nasbench101", nasbench101(), {}, {}, "network")
    for text, accuracy in (("110 01 1:maxpool3x3,conv3x3", 93.5), ("1101 001 00 1:conv3x3,maxpool3x3,conv1x1", 90)):
        assert performed(table.evaluate(task, Job(0, cell(text), 0)))[1] == {"validation_top1_percent": accuracy}
