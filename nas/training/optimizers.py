"""Optimizers of a recipe; the recipe gives their learning rate and weight decay."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, final

from torch import optim

from nas.records import Fraction, NonNegative, record
from nas.training.rmsprop import TensorFlowRmsProp


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


@final
@record
class RmsProp(Optimizer):
    """RMSprop as torch has it (Tieleman and Hinton 2012): the gradient divided by the root of its mean square, plus epsilon.

    The mean square begins at 0. Weight decay is added to the gradient. TensorFlow's form is `RmsPropTf`.
    """

    decay: Fraction = 0.99
    momentum: Fraction = 0.0
    epsilon: NonNegative = 1e-8

    def make(self, groups: list[Any], lr: float, weight_decay: float) -> optim.Optimizer:
        """Return torch's RMSprop."""
        return optim.RMSprop(groups, lr, self.decay, self.epsilon, weight_decay, self.momentum)


@final
@record
class RmsPropTf(Optimizer):
    """RMSprop as TensorFlow 1 has it: epsilon is inside the root, and the mean square begins at 1.

    The recipes of Inception, MobileNet, MnasNet and EfficientNet were tuned with it; with their large epsilons torch's form
    takes other steps. The defaults are EfficientNet's (Tan and Le 2019, arXiv:1905.11946, section 5.2; epsilon is of the
    released code). Weight decay is added to the gradient.
    """

    decay: Fraction = 0.9
    momentum: Fraction = 0.9
    epsilon: NonNegative = 1e-3

    def make(self, groups: list[Any], lr: float, weight_decay: float) -> optim.Optimizer:
        """Return the optimizer."""
        return TensorFlowRmsProp(groups, lr, self.decay, self.momentum, self.epsilon, weight_decay)
