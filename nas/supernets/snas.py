"""SNAS: a mixture of options, sampled from a concrete distribution. Xie et al. 2019, arXiv:1812.09926."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from nas.records import Range, record
from nas.supernets.gates import StepContext
from nas.supernets.method import Differentiable, Mixture
from nas.supernets.sampling import gumbel


@record
class Snas(Differentiable):
    """Mix all options by a sample of the concrete distribution (section 2.2).

    Weights and alphas learn from the same images. The temperature falls linearly from `tau_from` to `tau_to`, as in the
    released code; the paper gives no numbers. The resource constraint (section 2.4) is the search's `cost`, by its exact
    expectation instead of a sample. The paper keeps every edge whose strongest operation is not `none`; here the space fixes
    the number of edges, so the strongest are kept, as in DARTS.
    """

    joint = True

    tau_from: Annotated[float, Range(1e-3)] = 1.0
    tau_to: Annotated[float, Range(1e-3)] = 0.03

    def mix(self, alphas: Tensor, k: int, moment: StepContext) -> Mixture:
        # the concrete distribution: nearly one-hot for a small tau
        tau = self.tau_from + (self.tau_to - self.tau_from) * moment.progress
        return Mixture(((alphas + gumbel(alphas, moment)) / tau).softmax(1))
