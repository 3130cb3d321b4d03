"""Fronts that strategies reach on NAS-Bench-201: accuracy against multiply-adds, and against milliseconds of a Raspberry Pi 4.

The measure is the gap: 1 - hypervolume / hypervolume of the true front. The points of reference are 80 % accuracy and 230 M
multiply-adds, or 103.83 ms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean

import numpy as np
import pytest

from nas.history import History
from nas.pareto import Values, hypervolume
from nas.space import decisions
from nas.strategies.nsga2 import Nsga2
from nas.strategies.optuna import Optuna
from nas.strategies.pareto_evolution import ParetoEvolution
from nas.strategies.pnas import Pnas
from nas.strategies.random_search import RandomSearch
from nas.strategies.strategy import Strategy
from search_spaces import nasbench201

SEEDS, BUDGETS = 50, (100, 300, 500)

STRATEGIES: Mapping[str, Strategy] = {
    "random": RandomSearch(),
    "nsga2": Nsga2(population=20),
    "nsga2 50": Nsga2(),
    "pareto": ParetoEvolution(),
    "optuna nsga2": Optuna({"NSGAIISampler": {"population_size": 20}}),
    "pareto progression": Pnas(levels=3, width=30, expansions=30),
}


@dataclass(frozen=True)
class Problem:
    """Accuracy and minus the cost of each cell by its decisions; the point of reference; the true front's hypervolume."""

    points: Mapping[tuple[int, ...], Values]
    reference: Values
    whole: float

    def gap(self, history: History) -> float:
        """Return the part of the hypervolume that is missing."""
        return 1 - hypervolume([history.values(each) for each in history.front], self.reference) / self.whole


def problem_of(folder: Path, cost: str) -> Problem:
    """Return the problem of accuracy against "macs" or against a column of the table of latencies."""
    with np.load(folder / "nasbench201.npz") as table, np.load(folder / "nasbench201_latency_5devices.npz") as devices:
        ops = table["ops"]
        top1 = table["values"][:, list(table["columns"]).index("c10_valid200")].tolist()
        if cost == "macs":
            # a cell costs what its convolutions cost: 1x1 and 3x3, in each of its places
            costs = (7.783040 + 3.932160 * (ops == 2).sum(1) + 35.389440 * (ops == 3).sum(1)).tolist()
        else:
            costs = devices["values"][:, list(devices["columns"]).index(cost)].tolist()
    values = [(accuracy, -each) for accuracy, each in zip(top1, costs, strict=True)]
    true_front, cheapest = list[Values](), -math.inf
    for point in sorted(values, reverse=True):
        if point[1] > cheapest:
            true_front.append(point)
            cheapest = point[1]
    reference = (80.0, {"macs": -230.0, "raspi4_ms": -103.83}[cost])
    points = {tuple(row): value for row, value in zip(ops.tolist(), values, strict=True)}
    return Problem(points, reference, hypervolume(true_front, reference))


def search(strategy: Strategy, problem: Problem, seed: int) -> list[float]:
    """Search with one seed, and return the gap at each budget. Repeats are paid for."""
    space, history, gaps = nasbench201.nasbench201(), History(("top1", "-cost")), list[float]()
    for number in range(BUDGETS[-1]):
        proposal = strategy.propose(space, history, Random(seed << 32 | number))
        assert proposal is not None
        top1, cost = problem.points[tuple(decisions(space, proposal.architecture).values())]
        history.finish(history.start(proposal), {"top1": top1, "cost": -cost})
        if number + 1 in BUDGETS:
            gaps.append(problem.gap(history))
    return gaps


def test_the_true_fronts_are_those_that_are_known(shared_data: Path) -> None:
    assert problem_of(shared_data, "macs").whole == pytest.approx(2405.85, abs=0.01)
    assert problem_of(shared_data, "raspi4_ms").whole == pytest.approx(1094.0, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("cost", ["macs", "raspi4_ms"])
def test_strategies_of_several_objectives_leave_less_of_the_front_out_than_random(shared_data: Path, cost: str) -> None:
    problem = problem_of(shared_data, cost)
    gaps = {
        name: [
            fmean(column) for column in zip(*(search(strategy, problem, seed) for seed in range(SEEDS)), strict=True)
        ]
        for name, strategy in STRATEGIES.items()
    }
    print({name: [round(gap, 4) for gap in means] for name, means in gaps.items()})
    for name in ("nsga2", "nsga2 50", "pareto", "optuna nsga2", "pareto progression"):
        assert gaps[name][1] <= 0.8 * gaps["random"][1], gaps
        assert gaps[name][2] <= 0.65 * gaps["random"][2], gaps
