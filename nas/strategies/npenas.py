"""NPENAS: Wei et al. 2020, arXiv:2003.12857, algorithms 1 and 2."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

from nas.history import History, Proposal
from nas.predictors.encoding import Encoding
from nas.predictors.graph import Graph
from nas.predictors.graph_network import GraphNetwork
from nas.predictors.predictor import Predictor
from nas.records import Positive, record
from nas.strategies.bananas import Bananas
from nas.strategies.strategy import Strategy


@record
class Npenas(Strategy):
    """Evaluate the best predicted of the children of the `parents` best architectures.

    With `guide` "value" a child's predicted value decides (NPENAS-NP), with "sampling" a draw around it (NPENAS-BO, Thompson
    sampling). It is `Bananas` with several parents. The predictor is a graph network, as the paper's; a fit takes seconds. With
    perceptrons and `Paths` it takes a tenth of that, and on NAS-Bench-201 the search is no better than with BANANAS' candidates.
    """

    predictor: Predictor = GraphNetwork()
    encoding: Encoding = Graph()
    guide: Literal["value", "sampling"] = "value"
    first: Positive = 10
    candidates: Positive = 100
    parents: Positive = 10
    refit: Positive = 10

    def check(self, objectives: int = 1) -> None:
        self.predictor.check()

    def propose(self, space: Any, history: History, rng: Random) -> Proposal:
        acquisition: Literal["mean", "its"] = "mean" if self.guide == "value" else "its"
        guided = Bananas(
            self.predictor, self.encoding, acquisition, self.first, self.candidates, self.parents, self.refit
        )
        return guided.propose(space, history, rng)
