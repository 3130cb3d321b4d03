"""NetAdapt narrows one choice an iteration, each as little as the step needs, and ends at the budget."""

from __future__ import annotations

from collections import defaultdict
from math import log
from typing import Any

import pytest

from nas.history import History, Proposal
from nas.space import one_of
from nas.strategies.net_adapt import NetAdapt
from nas.testing.strategies import simulate_search

WIDTHS = 64
SPACE = tuple(one_of(f"width{i}", range(1, WIDTHS + 1)) for i in range(4))


def cost(widths: tuple[int, ...]) -> float:
    return sum(a * b for a, b in zip((3, *widths), (*widths, 10), strict=True))


def accuracy(widths: tuple[int, ...]) -> float:
    return sum((i + 1) * log(width) for i, width in enumerate(widths))


def measure(history: History, number: int) -> None:
    proposal = history.proposals[number]
    known = {"cost": cost(proposal.architecture)}
    history.finish(number, known if proposal.epochs == 0 else {**known, "score": accuracy(proposal.architecture)})


def iterations(history: History) -> list[list[tuple[int, Proposal]]]:
    """Return the trained networks of each iteration, by number."""
    found: dict[int, list[tuple[int, Proposal]]] = defaultdict(list)
    for number, proposal in enumerate(history.proposals):
        if proposal.origin == "narrowed" and proposal.epochs is None:
            found[proposal.notes["iteration"]].append((number, proposal))
    return list(found.values())


def brute_force(widths: tuple[int, ...], target: float) -> set[tuple[int, ...]]:
    """Return what algorithm 1 trains: each width lowered alone, as little as the target needs."""
    found = set()
    for i in range(4):
        fitting = [
            narrower
            for width in range(1, widths[i])
            if cost(narrower := (*widths[:i], width, *widths[i + 1 :])) <= target
        ]
        if fitting:
            found.add(fitting[-1])
    return found


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("decay", [1.0, 0.95])
def test_each_iteration_is_that_of_algorithm_1(workers: int, decay: float) -> None:
    strategy = NetAdapt("cost", keep=0.5, step=0.05, decay=decay, first=3)
    history = simulate_search(strategy, SPACE, 700, workers, finish=measure)
    assert [each.origin for each in history.proposals[:3]] == ["start", "identity", "identity"]
    current: tuple[int, ...] = (WIDTHS,) * 4
    whole = cost(current)
    for i, trained in enumerate(iterations(history)):
        target = max(0.5 * whole, cost(current) - 0.05 * decay**i * whole)
        assert {proposal.architecture for _, proposal in trained} == brute_force(current, target)
        parents = {proposal.parents for _, proposal in trained}
        assert len(parents) == 1
        assert history.proposals[parents.pop()[0]].architecture == current
        current = max((proposal.architecture for _, proposal in trained), key=accuracy)
    assert 0.99 * 0.5 * whole <= cost(current) <= 0.5 * whole, "the budget, within 1 %"
    last = history.proposals[-1]
    assert (last.origin, last.architecture) == ("identity", current), "which trains on"


def test_screening_takes_few_costs_and_no_training() -> None:
    history = simulate_search(NetAdapt("cost", step=0.1), SPACE, 200, finish=measure)
    screened = [proposal for proposal in history.proposals if proposal.epochs == 0]
    trained = sum(len(each) for each in iterations(history))
    assert len(screened) <= 7 * (trained + 4), "a bisection of 64 options"


def test_where_no_choice_alone_saves_enough_each_takes_its_first_option() -> None:
    history = simulate_search(NetAdapt("cost", keep=0.05, step=0.9), SPACE, 60, finish=measure)
    first, *_ = iterations(history)
    assert {proposal.architecture for _, proposal in first} == {
        tuple(1 if i == j else WIDTHS for j in range(4)) for i in range(4)
    }


def test_a_network_without_smaller_ones_trains_on() -> None:
    history = simulate_search(NetAdapt("cost", keep=0.001), (one_of("width", [8]),), 4, finish=measure)
    assert [each.origin for each in history.proposals] == ["start", *["identity"] * 3]


def test_failed_networks_are_trained_again_and_others_win() -> None:
    def finish(history: History, number: int) -> Any:
        narrow = history.proposals[number].notes.get("narrows")
        if narrow and narrow[2] and (narrow[0] == "width3" or history.children.get(0, [])[-1] < 40):
            history.fail(number, "NaN")
        else:
            measure(history, number)

    history = simulate_search(NetAdapt("cost", step=0.1), SPACE, 200, finish=finish)
    assert len(iterations(history)) >= 3
    assert all(history.finished[parent].is_scored for each in history.proposals for parent in each.parents)
