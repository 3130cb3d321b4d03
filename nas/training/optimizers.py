"""Optimizers of a recipe; the recipe gives their learning rate and weight decay."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, final

from torch import optim

from nas.records import Fraction, record


class Optimizer(ABC):
    """An optimizer of the weights, as a record."""

    @abstractmethod
    def make(self, groups: list[Any], lr: float, weight_decay: float) -> optim.Optimizer:
        """Return torch's optimizer of the weights or parameter groups."""


@final
@record
class Sgd(Optimizer):
    """Stochastic gradient descent with momentum; weight decay is added to the gradient."""

    momentum: Fraction = 0.9
    nesterov: bool = False

    def make(self, groups: list[Any], lr: float, weight_decay: float) -> optim.Optimizer:
        """Return torch's SGD."""
        return optim.SGD(groups, lr, momentum=self.momentum, nesterov=self.nesterov, weight_decay=weight_decay)


@final
@record
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, arXiv:1412.6980); weight decay is added to the gradient."""

    beta1: Fraction = 0.9
    beta2: Fraction = 0.999

    def make(self, groups: list[Any], lr: float, weight_decay: float) -> optim.Optimizer:
        """Return torch's Adam."""
        return optim.Adam(groups, lr, betas=(self.beta1, self.beta2), weight_decay=weight_decay)


@final
@record
class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

    beta1: Fraction = 0.9
    beta2: Fraction = 0.999

    def make(self, groups: list[Any], lr: float, weight_decay: float) -> optim.Optimizer:
        """Return torch's AdamW."""
        return optim.AdamW(groups, lr, betas=(self.beta1, self.beta2), weight_decay=weight_decay)
