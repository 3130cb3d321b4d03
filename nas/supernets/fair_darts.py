"""FairDARTS: options that do not compete, pushed to zero or one. Chu et al. 2020, arXiv:1911.12126."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nas.choice import choices
from nas.operations.skip import Zero
from nas.records import Fraction, NonNegative, record
from nas.supernets.derivation import Strengths, derive
from nas.supernets.gates import StepContext
from nas.supernets.method import Differentiable, Mixture
from nas.supernets.policy import Policy


@record
class FairDarts(Differentiable):
    """Mix all options, each by the sigmoid of its alpha, with the zero-one loss as penalty (section 4).

    The paper keeps every operation above `threshold`, with at most two edges per node. Here an option other than `Zero`
    is taken where it is above, which needs a space whose choices have `Zero` as an option, as `fairdarts`: there an edge may
    keep several operations, or none. Other choices take their strongest option. The released code initialises alphas at 0,
    where the penalty has no gradient; here they start near 0.
    """

    is_smooth = True

    w01: NonNegative = 10.0
    threshold: Fraction = 0.85

    def mix(self, alphas: Tensor, k: int, moment: StepContext) -> Mixture:
        return Mixture(alphas.sigmoid())

    def strength(self, alphas: Tensor) -> Tensor:
        return alphas.sigmoid()

    def penalty(self, policy: Policy) -> Tensor | None:
        """Return -w01 times the mean squared distance of the sigmoids from 1/2."""
        # negative: minimising it pushes each sigmoid away from 1/2, to 0 or to 1
        every = torch.cat([alphas.flatten() for alphas in policy.parameters()])
        return -self.w01 * (every.sigmoid() - 0.5).square().mean()

    def derive_from(self, space: Any, strengths: Strengths) -> Any:
        """Derive with the threshold as the strength of each `Zero`: it is taken where nothing else is above."""
        known = choices(space)
        limited = {
            name: [
                self.threshold if option == Zero() else own
                for option, own in zip(known[name].options, each, strict=False)
            ]
            for name, each in strengths.items()
        }
        return derive(space, limited)
