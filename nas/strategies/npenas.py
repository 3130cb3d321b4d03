"""NPENAS: Wei et al. 2020, arXiv:2003.12857, algorithms 1 and 2."""

from __future__ import annotations

from random import Random
from typing import Any, Literal

from nas.history import History, Proposal
from nas.predictors.encoding import Encoding
from nas.predictors.mlp_ensemble import MlpEnsemble
from nas.predictors.paths import Paths
from nas.predictors.predictor import Predictor
from nas.records import Positive, record
from nas.strategies.bananas import Bananas
from nas.strategies.strategy import Strategy


@record
class Npenas(Strategy):
    """Evaluate the best predicted of the children of the `parents` best architectures.

    With `guide` "value" a child's predicted value decides (NPENAS-NP), with "sampling" a draw around it (NPENAS-BO, Thompson
    sampling). It is `Bananas` with several parents. The paper's predictor is a graph network; ours is an ensemble, since an
    architecture of any space has its paths or its decisions.
    """

    predictor: Predictor = MlpEnsemble()
    encoding: Encoding = Paths()
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
