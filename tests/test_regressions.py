"""What was once wrong and is mended, each said as a fact: documents, records, spaces and networks.

Those of runs are in `test_regressions_runtime.py`, those of commands in `test_regressions_commands.py`.
"""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

import nas
from nas.building import BuildError, Site
from nas.choice import Choice, fix
from nas.history import History
from nas.operations.conv import AsymmetricConv, Conv
from nas.operations.pooling import AvgPool, MaxPool
from nas.operations.separable import DilConv, SepConv
from nas.operations.skip import Skip
from nas.plain import from_plain
from nas.records import classes, digest, record, to_plain
from nas.space import SpaceError, count, decisions, one_of, sample, some_of
from nas.strategies.evolution import RegularizedEvolution
from nas.topology.cell import Cell, Cells, Edge
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network
from nas.topology.residual import Residual
from search_spaces import darts, nasbench201, nasnet
from search_spaces.bits import bits

ROOT = Path(__file__).resolve().parents[1]


pytestmark = pytest.mark.usefixtures("own_records")


# ------------------------------------------------------------------------------------------------------ documents


def blocks(document: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / document).read_text(encoding="utf-8"), re.S | re.M)


def execute(block: str) -> dict[str, Any]:
    """Run a block as a module of its own would be; without this file's `from __future__` lines."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(block, "<document>", "exec", dont_inherit=True), names)
    return names


@pytest.mark.parametrize(("document", "least"), [("README.md", 1), ("CONTRIBUTING.md", 2)])
def test_the_python_of_a_document_runs(document: str, least: int) -> None:
    found = blocks(document)
    assert len(found) >= least
    for block in found:
        execute(block)


def test_the_operation_of_the_guide_builds_and_its_strategy_proposes() -> None:
    operation, strategy = map(execute, blocks("CONTRIBUTING.md")[:2])
    assert nas.profile(network_of(operation["GroupedConv"](), channels=8)).params > 0
    history = History("score")
    for number in range(3):
        history.start(strategy["CrossTheBest"]().propose(bits(4), history, Random(number)))
        history.finish(number, {"score": float(number)})
    assert history.proposals[2].parents == (0, 1)


def network_of(*nodes: Any, channels: int | None = None, input_channels: int = 16) -> Network:
    """Return a network with a stage of each node; only the last has `channels`."""
    *first, last = nodes
    stages = (*map(Stage, first), Stage(last, channels=channels))
    return Network(Stage(Conv(3), channels=input_channels), stages, Classifier(10))


def test_the_first_stage_of_the_readme_keeps_the_width_of_its_stem() -> None:
    mutant = execute(blocks("README.md")[0])["mutant"]
    layers = nas.profile(mutant, (3, 32, 32)).layers
    depth, width = mutant.stages[0].repeat, mutant.stages[1].channels
    widths = [{layer.output[0] for layer in layers if layer.name.startswith(f"layers.{i}.")} for i in range(depth + 1)]
    assert widths == [{16}] * depth + [{16, width}]


def test_every_stage_without_channels_keeps_the_width_that_comes_in() -> None:
    layers = nas.profile(network_of(SepConv(3), Conv(3), SepConv(5), channels=24, input_channels=20)).layers
    last_of = {int(layer.name.split(".")[1]): layer.output[0] for layer in layers if layer.name.startswith("layers.")}
    assert last_of == {0: 20, 1: 20, 2: 24}


# --------------------------------------------------------------------------------------------------------- records


@pytest.mark.parametrize("order", [("1", "1.0"), ("1.0", "1")])
def test_equal_numbers_have_equal_digests_whichever_is_named_first(order: tuple[str, str]) -> None:
    code = (
        "from nas.records import digest, record\n"
        "@record\nclass Noise:\n    deviation: float = 0.0\n"
        f"print(*[digest(Noise(each)) for each in ({', '.join(order)})])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    first, second = done.stdout.split()
    assert first == second


def test_a_pickle_holds_what_is_declared_and_nothing_remembered() -> None:
    cells = from_plain(to_plain(darts.PUBLISHED["DARTS_V2"]))
    before = pickle.dumps(cells)
    digest(cells), decisions(darts.darts(), cells), hash(cells)
    assert len(vars(cells)) > 2, "something is remembered"
    assert len(pickle.dumps(cells)) == len(before)
    assert pickle.loads(pickle.dumps(cells)) == cells


# ---------------------------------------------------------------------------------------------------------- spaces


@record
class _Row:
    """Holds anything."""

    parts: Any


del classes["_Row"]  # the tests of all records do not meet it


@pytest.mark.parametrize(
    "space",
    [[one_of("x", range(2))], (1, [2]), _Row([1, 2]), _Row((one_of("x", range(2)), [3])), (one_of("x", range(2)), {})],
    ids=["whole", "in a tuple", "in a record", "after a choice", "dict"],
)
@pytest.mark.parametrize("walk", [count, lambda space: sample(space, Random(0))], ids=["count", "sample"])
def test_a_list_in_a_tree_is_to_be_written_as_a_tuple(space: Any, walk: Callable[[Any], Any]) -> None:
    with pytest.raises(SpaceError, match=r"a (list|dict) stands in the tree.*: write a tuple"):
        walk(space)


@pytest.mark.parametrize("options", [[[1, 2], [3]], [_Row([1]), _Row([2])], [{}, ()]])
def test_options_that_cannot_be_hashed_are_to_be_written_as_tuples(options: list[Any]) -> None:
    for declare in (lambda: one_of("x", options), lambda: some_of("x", 1, options)):
        with pytest.raises(SpaceError, match=r"choice 'x' has options .*unhashable.*: write lists as tuples"):
            declare()


def test_a_choice_of_8_of_24_has_a_neighbour_for_each_exchange_of_one_pick() -> None:
    choice = Choice("x", tuple(range(24)), 8)
    for decision in (0, 12_345, choice.arity - 1):
        adjacent = choice.adjacent(decision)
        assert len(adjacent) == len(set(adjacent)) == 8 * 16
        mine = set(choice.picked(decision))
        assert all(len(mine & set(choice.picked(other))) == 7 for other in adjacent)


@pytest.mark.parametrize("name", nasnet.PUBLISHED)
def test_published_cells_that_concatenate_what_is_unread_are_members(name: str) -> None:
    space, cells = nasnet.nasnet(), nasnet.PUBLISHED[name]
    unread = Cells(*(replace(cell, concat=None) for cell in (cells.normal, cells.reduction)))
    taken = decisions(space, unread)
    assert nas.resolve(space, lambda choice: taken[choice.name]) == unread


@pytest.mark.parametrize("name", nasnet.PUBLISHED)
def test_published_cells_that_concatenate_an_input_that_is_read_are_no_members(name: str) -> None:
    with pytest.raises(SpaceError, match="not a member of the space"):
        decisions(nasnet.nasnet(), nasnet.PUBLISHED[name])


def test_where_two_ways_lead_to_a_tree_its_decisions_are_the_first_way_however_it_was_made() -> None:
    repeats = [Stage(Skip(), repeat=nas.one_of(name, options)) for name, options in (("b", [1, 2]), ("c", [2, 3]))]
    space = Chain((nas.one_of("a", repeats),))
    second_way = nas.resolve(space, lambda choice: {"a": 1, "c": 0}[choice.name])
    assert decisions(space, second_way) == decisions(space, pickle.loads(pickle.dumps(second_way))) == {"a": 0, "b": 1}


@pytest.mark.parametrize("family", [darts, nasbench201, nasnet], ids=lambda family: family.__name__)
def test_a_half_open_architecture_is_no_member(family: Any) -> None:
    space = family.family.space()
    half = space
    for choice in islice(nas.space.choices(space).values(), 2):
        half = fix(half, choice, 0)
        with pytest.raises(SpaceError, match=r"not a member of the space: its choice '.*' is still open"):
            decisions(space, half)
    with pytest.raises(SpaceError, match="still open"):
        decisions(space, space)


# ------------------------------------------------------------------------------------------------------ strategies


def test_evolution_draws_at_random_until_its_population_has_succeeded() -> None:
    strategy, history, space = RegularizedEvolution(population=4, sample=2), History("score"), bits(8)

    def next_origin() -> str:
        proposal = strategy.propose(space, history, Random(len(history.proposals)))
        history.start(proposal)
        return proposal.origin

    assert [next_origin() for _ in range(12)] == ["random"] * 12, "many are in flight"
    for number in range(5):
        history.fail(number, "out of memory")
    for number in range(5, 8):
        history.finish(number, {"score": 1.0})
        assert next_origin() == "random"
    history.finish(8, {"score": 1.0})
    assert next_origin() == "mutation"


# -------------------------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize("pool", [MaxPool(2), AvgPool(2)], ids=["max", "average"])
@pytest.mark.parametrize("size", [5, 7, 31, 32])
def test_a_pooling_of_2_rounds_odd_sizes_up_as_its_shape_says(pool: Any, size: int) -> None:
    site = Site((4, size, size + 2), 4, stride=2)
    out = pool.build(site)(torch.ones(2, 4, size, size + 2))
    assert tuple(out.shape[1:]) == pool.shape(site) == (4, (size + 1) // 2, (size + 3) // 2)
    assert out.eq(1).all(), "what lies outside does not count"


@pytest.mark.parametrize("name", nasbench201.family.published)
@pytest.mark.parametrize("size", [30, 31, 33])
def test_networks_of_nasbench201_stand_on_images_of_any_size(name: str, size: int) -> None:
    network = nasbench201.network(nasbench201.family.published[name], cells_per_stage=1)
    last = [layer for layer in nas.profile(network, (3, size, size)).layers if len(layer.output) == 3]
    assert {layer.output[1:] for layer in last} >= {(size, size), (8, 8) if size < 33 else (9, 9)}


EVEN = [Conv(2), Conv(4, bottleneck=4), AsymmetricConv(4), SepConv(2), DilConv(4)]


@pytest.mark.parametrize("operation", EVEN, ids=str)
def test_an_even_convolution_is_refused(operation: Any) -> None:
    with pytest.raises(BuildError, match="does not keep the size: give odd kernels"):
        nas.build(network_of(operation))


@pytest.mark.parametrize("pool", [MaxPool(2), AvgPool(4)], ids=str)
def test_an_even_pooling_that_is_not_strided_is_refused(pool: Any) -> None:
    with pytest.raises(BuildError, match="fits stride 2, not 1: give an odd kernel"):
        nas.build(network_of(pool))


BODIES = [Stage(Conv(3), channels=24), Stage(Conv(3), stride=2)]


@pytest.mark.parametrize("residual", [*(Residual(Skip(), body) for body in BODIES), Residual(Conv(3, padding="valid"))])
def test_a_residual_whose_sides_differ_is_refused(residual: Any) -> None:
    with pytest.raises(BuildError, match=r"the body of a residual gives \(.*\) and the shortcut \(.*\): make them"):
        nas.build(network_of(residual))


@pytest.mark.parametrize("body", BODIES, ids=["width", "size"])
def test_a_shortcut_takes_the_shape_of_the_body(body: Any) -> None:
    nas.build(network_of(Residual(body)))(torch.randn(2, 3, 16, 16))


@pytest.mark.parametrize("concat", [(3,), (2, -1), (0, 7)])
def test_a_state_that_is_none_cannot_be_concatenated(concat: tuple[int, ...]) -> None:
    with pytest.raises(BuildError, match=r"the cell concatenates state -?\d: give one from 0 to 2"):
        Cell(((Edge(0, Skip()), Edge(1, Skip())),), concat=concat)


def test_a_node_without_edges_is_refused() -> None:
    with pytest.raises(BuildError, match="node 1 of the cell has no edges: give it at least one"):
        Cell(((Edge(0, Skip()),), ()), concat=(2, 3))
