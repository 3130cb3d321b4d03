"""Search spaces: what holds for every space, on random ones, and what is known of the published ones."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import combinations, pairwise
from itertools import count as numbers
from math import prod
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nas.operations.conv import Conv
from nas.operations.skip import Skip, Zero
from nas.records import digest, record, to_plain
from nas.space import (
    Choice,
    SpaceError,
    choices,
    count,
    crossover,
    decisions,
    encode,
    enumerate_architectures,
    mutate,
    neighbours,
    one_of,
    resolve,
    sample,
    some_of,
)
from nas.topology.cell import Edge
from search_spaces.darts import PUBLISHED, darts
from search_spaces.nasbench201 import nasbench201
from search_spaces.nasnet import NAMES, nasnet

ROOT = Path(__file__).resolve().parents[2]
ALIKE = settings(max_examples=60, deadline=None, derandomize=True)
LARGEST = 200

Decided = dict[str, int]


@record
class SpacePair:
    """A record with two parts, in which choices may stand."""

    left: Any
    right: Any = None


# ---------------------------------------------------------------------------- the specification, by brute force


def closings(tree: Any, decided: Decided) -> Iterator[tuple[Any, Decided]]:
    """Yield every way to close a tree's choices, given decisions taken before: what the library does, spelt out."""
    if type(tree) is Choice:
        every = range(tree.arity) if tree.name not in decided else [decided[tree.name]]
        for decision in every:
            yield from closings(_taken(tree, decision), {**decided, tree.name: decision})
    elif type(tree) is tuple:
        yield from _parts(tree, (), decided)
    elif type(tree) is SpacePair:
        for parts, after in _parts((tree.left, tree.right), (), decided):
            yield SpacePair(*parts), after
    else:
        yield tree, decided


def _taken(choice: Choice, decision: int) -> Any:
    if choice.k is None:
        return choice.options[decision]
    return list(combinations(choice.options, choice.k))[decision]


def _parts(
    trees: tuple[Any, ...], done: tuple[Any, ...], decided: Decided
) -> Iterator[tuple[tuple[Any, ...], Decided]]:
    if not trees:
        yield done, decided
        return
    for part, after in closings(trees[0], decided):
        yield from _parts(trees[1:], (*done, part), after)


@cache
def members(space: Any) -> dict[Any, Decided]:
    """Return every architecture of a space with the decisions that lead to it."""
    found = list(closings(space, {}))
    assert len({architecture for architecture, _ in found}) == len(found), "the space is ambiguous"
    return dict(found)


def adjacent(choice: Choice, first: int, second: int) -> bool:
    """Say whether two decisions differ in one option."""
    if choice.k is None:
        return first != second
    picks = [set(list(combinations(range(len(choice.options)), choice.k))[each]) for each in (first, second)]
    return len(picks[0] - picks[1]) == 1


def changed(space: Any, first: Any, second: Any) -> list[str]:
    """Return the decisions that two members both have and take differently."""
    one, other = members(space)[first], members(space)[second]
    return [name for name in one if name in other and one[name] != other[name]]


# ---------------------------------------------------------------------------------------------------- random spaces


@st.composite
def spaces(draw: st.DrawFn) -> Any:
    """Draw a space with nested and shared choices, in which every architecture comes about in one way only.

    Every leaf is a number of its own, and a choice that stands in a second place stands beside such a number.
    """
    leaf, name = numbers(), numbers()
    known: list[Choice] = []

    def tree(depth: int) -> Any:
        kinds = ["leaf"] if depth == 0 else ["leaf", "tuple", "record", "one", "one", "some", "shared"]
        kind = draw(st.sampled_from(kinds))
        if kind == "leaf" or (kind == "shared" and not known):
            return next(leaf)
        if kind == "tuple":
            return tuple(tree(depth - 1) for _ in range(draw(st.integers(1, 3))))
        if kind == "record":
            return SpacePair(tree(depth - 1), tree(depth - 1))
        if kind == "shared":
            return next(leaf), draw(st.sampled_from(known))
        return choice(kind, depth)

    def choice(kind: str, depth: int) -> Any:
        options = tuple(tree(depth - 1) for _ in range(draw(st.integers(1, 3))))
        k = draw(st.integers(1, len(options))) if kind == "some" else None
        known.append(made := Choice(f"c{next(name)}", options, k))
        return made

    space = tuple(tree(3) for _ in range(draw(st.integers(1, 3))))
    assume(count(space) <= LARGEST)
    return space


seeds = st.integers(0, 2**32)


def lopsided() -> Any:
    """One option alone, and one that opens more, among them a shared choice: 1 + 2 * (3 + 3 * 3) = 25."""
    shared = one_of("shared", (10, 11, 12))
    picks = some_of("picks", 1, (shared, SpacePair(one_of("inner", (20, 21, 22)), shared)))
    return one_of("root", (0, SpacePair(picks, one_of("beside", (30, 31)))))


def shared_spaces() -> list[Any]:
    both = one_of("b", (1, 2))
    return [
        (both, SpacePair(both, one_of("c", (3, 4, 5)))),
        (one_of("a", (both, 7)), both),
        some_of("s", 2, (SpacePair(0, both), SpacePair(1, both), SpacePair(2, 2))),
        one_of("a", (one_of("x", (1, 2)), (3, some_of("y", 2, (4, 5, 6, 7))))),
        lopsided(),
    ]


def single(draws: int = 1000) -> Random:
    """Return a generator that gives up, so that a loop without an end is a failure and no standstill."""
    rng = Random(0)
    left = iter(range(draws))
    original = rng.random

    def random() -> float:
        assert next(left, None) is not None, "drawn too often"
        return original()

    rng.random = random  # type: ignore[method-assign]
    return rng


# ---------------------------------------------------------------------------------------------------- properties


@ALIKE
@given(spaces())
def test_count_is_the_number_of_ways_to_decide(space: Any) -> None:
    assert count(space) == len(members(space))


@pytest.mark.parametrize("space", shared_spaces(), ids=range(5))
def test_count_takes_shared_choices_for_one(space: Any) -> None:
    assert count(space) == len(members(space)) == len(list(enumerate_architectures(space)))


@ALIKE
@given(spaces())
def test_enumerate_yields_every_architecture_once(space: Any) -> None:
    found = list(enumerate_architectures(space))
    assert len(found) == len(set(found))
    assert set(found) == members(space).keys()


@ALIKE
@given(spaces())
def test_decisions_are_the_inverse_of_resolve(space: Any) -> None:
    for architecture, decided in members(space).items():
        taken = decisions(space, architecture)
        assert taken == decided
        assert resolve(space, lambda choice, taken=taken: taken[choice.name]) == architecture


@ALIKE
@given(spaces(), seeds)
def test_a_sample_is_a_member(space: Any, seed: int) -> None:
    assert sample(space, Random(seed)) in members(space)
    assert sample(space, Random(seed), "architectures") in members(space)


@ALIKE
@given(spaces(), seeds)
def test_mutate_returns_another_member_that_differs_in_one_decision(space: Any, seed: int) -> None:
    assume(len(members(space)) > 1)
    rng = Random(seed)
    for _ in range(10):
        architecture = sample(space, rng)
        mutant = mutate(space, architecture, rng)
        assert mutant != architecture
        (name,) = changed(space, architecture, mutant)
        one, other = members(space)[architecture], members(space)[mutant]
        assert adjacent(choices(space)[name], one[name], other[name])


@ALIKE
@given(spaces(), seeds)
def test_neighbours_are_the_members_one_decision_away(space: Any, seed: int) -> None:
    architecture = sample(space, Random(seed))
    found = list(neighbours(space, architecture))
    assert len(found) == len(set(found))
    taken = members(space)
    expected = set()
    for other in taken:
        names = changed(space, architecture, other)
        if len(names) == 1:
            (name,) = names
            if adjacent(choices(space)[name], taken[architecture][name], taken[other][name]):
                expected.add(other)
    assert set(found) == expected


@pytest.mark.parametrize("space", shared_spaces(), ids=range(5))
def test_neighbours_are_what_mutate_reaches(space: Any) -> None:
    rng = Random(0)
    for architecture in list(members(space))[:4]:
        reached = {mutate(space, architecture, rng) for _ in range(800)}
        assert reached == set(neighbours(space, architecture))


@ALIKE
@given(spaces(), seeds)
def test_crossover_takes_each_decision_from_a_parent(space: Any, seed: int) -> None:
    rng = Random(seed)
    parents = [sample(space, rng) for _ in range(2)]
    child = members(space)[crossover(space, *parents, rng)]
    for name, decision in child.items():
        known = {members(space)[parent][name] for parent in parents if name in members(space)[parent]}
        assert not known or decision in known


@ALIKE
@given(spaces())
def test_codes_have_one_length_and_tell_architectures_apart(space: Any) -> None:
    codes = [encode(space, architecture) for architecture in members(space)]
    assert len(set(codes)) == len(codes)
    assert {len(code) for code in codes} == {sum(len(choice.options) for choice in choices(space).values())}
    assert {bit for code in codes for bit in code} <= {0, 1}


@ALIKE
@given(spaces())
def test_an_open_space_is_no_member_of_itself(space: Any) -> None:
    assume(choices(space))
    with pytest.raises(SpaceError, match="not a member"):
        decisions(space, space)


# ---------------------------------------------------------------------------------------------------- uniformity


def chi_square(found: Counter[Any], cells: int) -> float:
    expected = found.total() / cells
    return sum((found[each] - expected) ** 2 / expected for each in found) + (cells - len(found)) * expected


@pytest.mark.parametrize(
    "space", [lopsided(), shared_spaces()[1], shared_spaces()[3]], ids=["lopsided", "shared", "some"]
)
def test_uniform_over_architectures_is_exactly_uniform(space: Any) -> None:
    """Chi-square, 99.9 % for as many degrees of freedom as there are architectures less one."""
    cells, rng = len(members(space)), Random(7)
    found = Counter(sample(space, rng, "architectures") for _ in range(60 * cells))
    assert chi_square(found, cells) < {25: 51.18, 4: 16.27, 8: 24.32}[cells]


def test_uniform_by_choice_is_not_uniform_over_architectures() -> None:
    rng = Random(7)
    found = Counter(sample(lopsided(), rng) for _ in range(1500))
    assert 0.45 < found[0] / found.total() < 0.55
    assert chi_square(found, 25) > 1000


def test_uniform_by_choice_takes_every_pick_equally_often() -> None:
    rng = Random(7)
    found = Counter(sample(some_of("s", 2, range(5)), rng) for _ in range(1000))
    assert len(found) == 10
    assert chi_square(found, 10) < 27.88


# ---------------------------------------------------------------------------------------------------- picks


def test_picks_stand_in_the_order_of_the_options() -> None:
    found = list(enumerate_architectures(some_of("s", 2, "dbca")))
    assert found == [("d", "b"), ("d", "c"), ("d", "a"), ("b", "c"), ("b", "a"), ("c", "a")]


def test_picks_in_another_order_are_no_member() -> None:
    with pytest.raises(SpaceError, match="choice 's' cannot be"):
        decisions(some_of("s", 2, "abc"), ("b", "a"))


def test_mutating_picks_changes_one_of_them() -> None:
    space, rng = some_of("s", 3, range(6)), Random(0)
    for _ in range(50):
        architecture = sample(space, rng)
        assert len(set(architecture) & set(mutate(space, architecture, rng))) == 2


def test_all_of_the_options_leave_nothing_open() -> None:
    assert list(enumerate_architectures((some_of("s", 2, (1, 2)), some_of("none", 0, (3,))))) == [((1, 2), ())]


# ---------------------------------------------------------------------------------------------------- errors

WALKS: Mapping[str, Callable[[Any], object]] = {
    "choices": choices,
    "count": count,
    "sample": lambda space: sample(space, Random(0)),
    "sample uniformly": lambda space: sample(space, Random(0), "architectures"),
    "enumerate": lambda space: list(enumerate_architectures(space)),
    "resolve": lambda space: resolve(space, lambda choice: 0),
    "decisions": lambda space: decisions(space, (1, 1)),
}


@pytest.mark.parametrize("walk", WALKS)
def test_two_choices_of_one_name_are_an_error_that_names_it(walk: str) -> None:
    with pytest.raises(SpaceError, match=r"^two choices are named 'twin' and have different options"):
        WALKS[walk]((one_of("twin", (1, 2)), one_of("twin", (1, 2, 3))))


@pytest.mark.parametrize("walk", WALKS)
def test_a_choice_inside_another_of_its_name_is_an_error(walk: str) -> None:
    with pytest.raises(SpaceError, match=r"^two choices are named 'twin' and have different options"):
        WALKS[walk]((one_of("twin", (one_of("twin", (1, 2)),)), 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: one_of("c", ()), "choice 'c' has options (): give at least one, all different"),
        (lambda: one_of("c", (1, 1)), "choice 'c' has options (1, 1): give at least one, all different"),
        (lambda: some_of("c", 3, (1, 2)), "choice 'c' picks 3 of 2: give k from 0 to 2"),
    ],
    ids=["none", "twice", "too many"],
)
def test_a_choice_that_cannot_be_taken_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ((1, 9), "choice 'b' cannot be 9; its options are (3, 4)"),
        ((9, 3), "choice 'a' cannot be 9; its options are (1, 2)"),
        ((1, 3, 3), "its structure differs: (1, 3, 3)"),
    ],
    ids=str,
)
def test_the_decision_that_fails_is_named(tree: Any, message: str) -> None:
    with pytest.raises(SpaceError) as caught:
        decisions((one_of("a", (1, 2)), one_of("b", (3, 4))), tree)
    assert str(caught.value) == f"not a member of the space: {message}"


def test_the_edge_of_a_cell_that_fails_is_named() -> None:
    member = PUBLISHED["DARTS_V2"]
    nodes = (*member.normal.nodes[:2], (Edge(0, Skip()), Edge(3, Zero())), member.normal.nodes[3])
    with pytest.raises(SpaceError, match=r"choice 'normal/3-4' cannot be Zero\(\)"):
        decisions(darts(), replace(member, normal=replace(member.normal, nodes=nodes)))


HALF = (one_of("a", (1, 2)), one_of("b", (3, 4)))


@pytest.mark.parametrize(
    "walk",
    [decisions, encode, lambda space, tree: mutate(space, tree, Random(0))],
    ids=["decisions", "encode", "mutate"],
)
def test_a_half_open_architecture_is_refused(walk: Callable[[Any, Any], object]) -> None:
    with pytest.raises(SpaceError, match="'b'"):
        walk(HALF, (1, HALF[1]))


def test_a_cell_left_open_is_refused() -> None:
    space = darts()
    with pytest.raises(SpaceError):
        decisions(space, replace(PUBLISHED["DARTS_V2"], normal=space.normal))


@pytest.mark.parametrize(
    "space", [(1, 2), one_of("a", (1,)), one_of("a", (one_of("b", (1,)), 1))], ids=["closed", "one option", "ambiguous"]
)
def test_a_single_architecture_cannot_be_mutated(space: Any) -> None:
    with pytest.raises(SpaceError, match="mutation found no other architecture"):
        mutate(space, sample(space, Random(0)), single())


def test_an_ambiguous_space_mutates_to_another_architecture() -> None:
    space = one_of("a", (one_of("b", (1, 2)), 1))
    rng = single()
    assert {mutate(space, 1, rng) for _ in range(20)} == {2}


def test_options_for_supernets_are_in_no_sample() -> None:
    space = one_of("a", (Skip(), Conv()), supernet_only=(Zero(),))
    assert set(enumerate_architectures(space)) == {Skip(), Conv()}
    assert count(space) == 2
    with pytest.raises(SpaceError, match="choice 'a' cannot be Zero"):
        decisions(space, Zero())


def test_no_sample_of_darts_has_a_zero() -> None:
    rng = Random(0)
    assert not any("Zero" in str(to_plain(sample(darts(), rng))) for _ in range(200))


# ---------------------------------------------------------------------------------------------------- published


def test_darts_has_as_many_architectures_as_published() -> None:
    assert count(darts()) == (180 * 7**8) ** 2


def test_nasbench201_has_as_many_architectures_as_published() -> None:
    assert count(nasbench201()) == 15_625
    assert len({digest(cell) for cell in enumerate_architectures(nasbench201())}) == 15_625


@pytest.mark.parametrize("nodes", [2, 5])
def test_nasnet_counts_states_and_operations_of_each_pair(nodes: int) -> None:
    a_cell = prod((states * len(NAMES)) ** 2 for states in range(2, 2 + nodes))
    assert count(nasnet(combinations=nodes)) == a_cell**2


def test_the_last_choice_runs_fastest() -> None:
    found = enumerate_architectures((one_of("a", (1, 2)), one_of("b", (3, 4))))
    assert list(found) == [(1, 3), (1, 4), (2, 3), (2, 4)]


def test_enumerating_a_large_space_starts_at_once() -> None:
    found = enumerate_architectures(darts())
    assert all(one != other for one, other in pairwise(next(found) for _ in range(20)))


def test_a_seed_gives_the_same_in_every_process() -> None:
    code = (
        "from random import Random; from nas.records import digest; from nas.space import *;"
        "from search_spaces.darts import darts;"
        "rng = Random(3); space = darts(); one, other = sample(space, rng), sample(space, rng, 'architectures');"
        "print(*map(digest, (one, other, mutate(space, one, rng), crossover(space, one, other, rng),"
        " *list(neighbours(space, one))[:9])))"
    )

    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
    assert printed.pop().split()[0] == digest(sample(darts(), Random(3)))


@pytest.mark.parametrize("space", [darts(), nasbench201(), nasnet()], ids=["darts", "nasbench201", "nasnet"])
def test_trees_are_small_to_send(space: Any) -> None:
    architecture = sample(space, Random(0))
    assert len(pickle.dumps(architecture)) < 2000
    assert len(pickle.dumps(space)) < 4000
    assert pickle.loads(pickle.dumps((space, architecture))) == (space, architecture)
