"""Speed of strategies that learn: proposals at 500 evaluations of NAS-Bench-201, with and without the fit of a predictor."""

from __future__ import annotations

import time
from functools import partial
from random import Random

from _timing import microseconds, report

from nas.history import History
from nas.predictors.boosting import Boosting
from nas.predictors.forest import Forest
from nas.predictors.gaussian_process import GaussianProcess
from nas.predictors.graph import Graph
from nas.predictors.graph_network import GraphNetwork
from nas.predictors.mlp_ensemble import MlpEnsemble
from nas.records import digest
from nas.strategies.bananas import Bananas
from nas.strategies.controllers.lstm import Lstm
from nas.strategies.kde import Kde
from nas.strategies.pnas import Pnas
from nas.strategies.reinforce import Reinforce
from nas.strategies.screened import Screened
from nas.strategies.strategy import Strategy
from search_spaces.nasbench201 import nasbench201

EVALUATIONS = 500


def grown(strategy: Strategy) -> tuple[History, list[float]]:
    """Search; return the history and the CPU seconds of each proposal."""
    space, history, seconds = nasbench201(), History("score"), []
    for number in range(EVALUATIONS):
        start = time.process_time()
        proposal = strategy.propose(space, history, Random(number))
        seconds.append(time.process_time() - start)
        assert proposal is not None
        history.finish(history.start(proposal), {"score": int(digest(proposal.architecture), 16) % 10_007})
    return history, seconds


def main() -> None:
    flat = (MlpEnsemble(), Forest(), Boosting(), GaussianProcess())
    for bananas in (*(Bananas(predictor=each) for each in flat), Bananas(GraphNetwork(), Graph())):
        _, seconds = grown(bananas)
        report(
            f"BANANAS, {type(bananas.predictor).__name__}", 1e3 * sum(seconds[-100:]) / 100, "ms", "< 200, a proposal"
        )
        report("  with its fit", 1e3 * max(seconds[-100:]), "ms", "")
    others: list[tuple[Strategy, str]] = [
        (Reinforce(), "< 1"),
        (Kde(), "< 50"),
        (Screened(), "< 200"),
        (Pnas(width=100), "< 200"),
    ]
    for strategy, goal in others:
        history, _ = grown(strategy)
        cost = microseconds(partial(strategy.propose, nasbench201(), history, Random(0)), 20)
        report(f"{type(strategy).__name__}, a proposal", cost / 1e3, "ms", goal)
    for reinforce in (
        Reinforce(lr=0.005, controller=Lstm()),
        Reinforce(controller=Lstm(), loss="PPO", batch=20, passes=5),
    ):
        _, seconds = grown(reinforce)
        report(
            f"LSTM by {reinforce.loss}, a proposal", 1e3 * sum(seconds[-100:]) / 100, "ms", "< 20, with what it learns"
        )


if __name__ == "__main__":
    main()
