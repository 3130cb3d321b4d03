"""Random search: the baseline that a strategy has to beat."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar, Literal

from nas.history import History, Proposal
from nas.records import record
from nas.space import sample
from nas.strategies.strategy import Strategy


@record
class RandomSearch(Strategy):
    """Draw every architecture independently: uniform choice by choice, or uniform over all architectures."""

    uniform: Literal["choices", "architectures"] = "choices"
    several_objectives: ClassVar[bool] = True

    def propose(self, space: Any, history: History, rng: Random) -> Proposal:
        return Proposal(sample(space, rng, self.uniform))
