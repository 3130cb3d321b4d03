"""GDAS: one sampled option at a time, learnt through its softmax. Dong and Yang 2019, arXiv:1910.04465."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from nas.records import Range, record
from nas.supernets.gates import StepContext
from nas.supernets.method import Differentiable, Mixture
from nas.supernets.sampling import active, gumbel, straight_through


@record
class Gdas(Differentiable):
    """Sample one option by the Gumbel-max trick and compute it alone, with the softmax's gradient (section 3.2).

    The temperature falls linearly from `tau_from` to `tau_to`. The released code also adds the zero gates of the options
    that are not computed, which gives them a gradient too; no equation of the paper has it, and we follow the paper. For
    a `some_of` the k options with the largest perturbed alphas are taken, a case the paper does not have.
    """

    mixes_all = False

    tau_from: Annotated[float, Range(1e-3)] = 10.0
    tau_to: Annotated[float, Range(1e-3)] = 0.1

    def mix(self, alphas: Tensor, k: int, moment: StepContext) -> Mixture:
        tau = self.tau_from + (self.tau_to - self.tau_from) * moment.progress
        # Gumbel-top-k: the k largest are a draw without replacement; the temperature does not change which they are
        perturbed = alphas + gumbel(alphas, moment)
        chosen = perturbed.topk(k, 1).indices
        return Mixture(straight_through((perturbed / tau).softmax(1), chosen), active(chosen))
