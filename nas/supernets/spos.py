"""Single path one-shot: paths drawn uniformly, without architecture parameters. Guo et al. 2020, arXiv:1904.00420."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch

from nas.choice import Choice
from nas.records import record
from nas.supernets.gates import Gate, StepContext
from nas.supernets.one_shot import OneShot
from nas.supernets.policy import Policy, path_gates


@record
class Spos(OneShot):
    """Train a path drawn uniformly in each step (section 3), and take the best of `candidates` random paths.

    The paper searches the trained supernet by evolution, 50 paths in each of 20 generations; the random search is that of
    Li and Talwalkar 2019, arXiv:1902.07638. Supernet-only options are never drawn.
    """

    edge_weights = True

    def policy(self, choices: Mapping[str, Choice]) -> Policy:
        return UniformPaths(choices)


@final
class UniformPaths(Policy):
    """A policy without parameters that draws each decision uniformly."""

    def __init__(self, choices: Mapping[str, Choice]) -> None:
        super().__init__()
        self.choices = dict(choices)

    def gates(self, moment: StepContext) -> dict[str, Gate]:
        drawn = torch.rand(len(self.choices), generator=moment.generator, dtype=torch.float64).tolist()
        # uniform in [0, 1), so each index is below its arity
        decisions = {
            name: int(part * each.arity) for (name, each), part in zip(self.choices.items(), drawn, strict=True)
        }
        return path_gates(self.choices, decisions)

    def strengths(self) -> dict[str, list[float]]:
        return {}
