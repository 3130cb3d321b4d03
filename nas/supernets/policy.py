"""Policy: the architecture parameters (alphas) of a search; it makes the gates of each forward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from nas.choice import Choice
from nas.supernets.gates import Gate, StepContext


class Policy(nn.Module, ABC):
    """The architecture parameters of a supernet, and how they weigh its options."""

    @abstractmethod
    def gates(self, moment: StepContext) -> dict[str, Gate]:
        """Return the gates of a forward pass by choice name."""

    @abstractmethod
    def strengths(self) -> dict[str, list[float]]:
        """Return the strength of each option of each choice, supernet-only options last; empty where nothing is learnt."""

    def probabilities(self) -> dict[str, Tensor]:
        """Return the strengths as tensors, (options,), with their gradient; empty for a policy that has none to give."""
        return {}

    def take_over(self, before: Policy) -> None:
        """Take over the parameters of a policy of the same kind on a space with more options; by default, keep the new ones."""


def path_gates(choices: Mapping[str, Choice], decisions: Mapping[str, int]) -> dict[str, Gate]:
    """Return the gates by which a supernet computes one architecture; choices that are not decided have no active option."""
    return {name: Gate(choice.picked(decisions[name]) if name in decisions else ()) for name, choice in choices.items()}
