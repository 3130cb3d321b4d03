"""Initial weights by a recipe, in place of torch's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, final

from torch import Tensor, nn

from nas.records import NonNegative, record


class Initialisation(ABC):
    """A distribution of initial weights, as a record."""

    @abstractmethod
    def draw(self, weight: Tensor) -> None:
        """Fill a weight (outputs, inputs, ...) in place, from torch's global generator."""


@final
@record
class He(Initialisation):
    """A normal distribution of variance 2 / fan, for layers before ReLUs (He et al. 2015, arXiv:1502.01852, section 2.2).

    With fan "out" the variance of gradients is kept, with "in" that of activations; the paper uses either.
    """

    fan: Literal["out", "in"] = "out"

    def draw(self, weight: Tensor) -> None:
        """Fill a weight."""
        nn.init.kaiming_normal_(weight, mode="fan_out" if self.fan == "out" else "fan_in", nonlinearity="relu")


@final
@record
class Xavier(Initialisation):
    """A uniform distribution of variance 2 / (fan in + fan out) (Glorot and Bengio 2010, equation 16)."""

    def draw(self, weight: Tensor) -> None:
        """Fill a weight."""
        nn.init.xavier_uniform_(weight)


@final
@record
class Normal(Initialisation):
    """A normal distribution of one deviation for all layers; 0.01 is that of Krizhevsky et al. 2012, section 5."""

    std: NonNegative = 0.01

    def draw(self, weight: Tensor) -> None:
        """Fill a weight."""
        nn.init.normal_(weight, std=self.std)


@final
@record
class TruncatedNormal(Initialisation):
    """A normal distribution of one deviation for all layers, drawn again beyond two deviations, as TensorFlow's."""

    std: NonNegative = 0.1

    def draw(self, weight: Tensor) -> None:
        """Fill a weight."""
        nn.init.trunc_normal_(weight, std=self.std, a=-2 * self.std, b=2 * self.std)


def initialise(model: nn.Module, how: Initialisation) -> None:
    """Draw the weights of all convolutions and linear layers, and zero their biases. Norms stay as they are.

    A bias that its layer has set to one number, as a highway's gate has, stays too.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.Linear):
            how.draw(module.weight)
            bias = module.bias
            if bias is not None and (len(bias) == 1 or bool((bias != bias[0]).any())):
                nn.init.zeros_(bias)
