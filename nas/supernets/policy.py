"""Policy: what a search learns beside the weights; it makes the gates of each forward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import nn

from nas.choice import Choice
from nas.supernets.gates import Gate, StepContext


class Policy(nn.Module, ABC):
    """Decides how a supernet's options count; its parameters are what is learnt of the architecture."""

    @abstractmethod
    def gates(self, moment: StepContext) -> dict[str, Gate]:
        """Return the gates of a forward pass by the names of the choices."""

    @abstractmethod
    def strengths(self) -> dict[str, list[float]]:
        """Return how much each option of each choice counts, those of the supernet alone last; empty where nothing is learnt."""

    def take_over(self, before: Policy) -> None:
        """Go on from what a policy of the same kind has learnt on a space with more options; by default, begin anew."""


def path_gates(choices: Mapping[str, Choice], decisions: Mapping[str, int]) -> dict[str, Gate]:
    """Return the gates by which a supernet computes one architecture: of what no decision opens, nothing is active."""
    return {name: Gate(choice.picked(decisions[name]) if name in decisions else ()) for name, choice in choices.items()}
