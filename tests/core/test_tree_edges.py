"""Records and spaces at their edges: equal numbers, lists in trees, large choices, two ways to one tree."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest

import nas
from nas.choice import Choice, decide_one
from nas.operations.skip import Skip
from nas.plain import from_plain
from nas.records import classes, digest, record, to_plain
from nas.space import SpaceError, count, decisions, one_of, sample, some_of
from nas.topology.cell import Cells
from nas.topology.chain import Chain, Stage
from search_spaces import darts, nasbench201, nasnet

ROOT = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.usefixtures("own_records")


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
    with pytest.raises(SpaceError, match=r"the tree contains a (list|dict), .*: write a tuple"):
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
        half = decide_one(half, choice, 0)
        with pytest.raises(SpaceError, match=r"not a member of the space: its choice '.*' is still open"):
            decisions(space, half)
    with pytest.raises(SpaceError, match="still open"):
        decisions(space, space)
