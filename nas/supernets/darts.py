"""DARTS: a softmax mixture of all options, learnt by gradient. Liu et al. 2019, arXiv:1806.09055."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from nas.records import record
from nas.supernets.bilevel import BatchOutcome, Step, exact_second_order, first_order, second_order
from nas.supernets.gates import StepContext
from nas.supernets.method import Differentiable, Mixture

_ORDERS = {"first": first_order, "second": second_order, "exact": exact_second_order}


@record
class Darts(Differentiable):
    """Mix all options by the softmax of their alphas (section 2.2).

    The alphas follow the loss at the current weights (`order` "first") or after one step of the weights. For the latter
    the Hessian-vector product is computed by finite differences ("second", section 2.3) or by automatic differentiation
    ("exact").
    """

    is_smooth = True

    order: Literal["first", "second", "exact"] = "first"

    @property
    def differentiates_steps(self) -> bool:
        """Whether `order` is "exact"."""
        return self.order == "exact"

    def mix(self, alphas: Tensor, k: int, moment: StepContext) -> Mixture:
        return Mixture(alphas.softmax(1))

    def learn(self, step: Step) -> BatchOutcome:
        return _ORDERS[self.order](step)
