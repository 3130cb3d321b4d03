"""FairDARTS: options that do not compete, pushed to zero or one. Chu et al. 2020, arXiv:1911.12126."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.records import NonNegative, record
from nas.supernets.gates import StepContext
from nas.supernets.method import Differentiable, Mixture
from nas.supernets.policy import Policy


@record
class FairDarts(Differentiable):
    """Mix all options, each by the sigmoid of its alpha, with the zero-one loss as penalty (section 4).

    The paper keeps every operation above 0.85, with at most two edges per node; here the space fixes the number of edges,
    so no threshold is applied. The released code initialises alphas at 0, where the penalty has no gradient; here they
    start near 0.
    """

    is_smooth = True

    w01: NonNegative = 10.0

    def mix(self, alphas: Tensor, k: int, moment: StepContext) -> Mixture:
        return Mixture(alphas.sigmoid())

    def strength(self, alphas: Tensor) -> Tensor:
        return alphas.sigmoid()

    def penalty(self, policy: Policy) -> Tensor | None:
        """Return -w01 times the mean squared distance of the sigmoids from 1/2."""
        # negative: minimising it pushes each sigmoid away from 1/2, to 0 or to 1
        every = torch.cat([alphas.flatten() for alphas in policy.parameters()])
        return -self.w01 * (every.sigmoid() - 0.5).square().mean()
