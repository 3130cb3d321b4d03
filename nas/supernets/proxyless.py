"""ProxylessNAS: binary gates, so that a search needs the memory of one path. Cai et al. 2019, arXiv:1812.00332."""

from __future__ import annotations

from torch import Tensor

from nas.records import record
from nas.supernets.gates import StepContext
from nas.supernets.method import Differentiable, Mixture
from nas.supernets.sampling import active, gumbel, straight_through


@record
class Proxyless(Differentiable):
    """Sample one option for the weights; for the alphas sample two, open one and update both (section 3.2).

    The gradient passes through the softmax over the two. The released script by default computes all options to learn the
    alphas, and two with `grad_binary_mode`; we follow the paper. The paper also rescales the two alphas after each step,
    so that the probabilities of the others do not change; that is left out. For a `some_of` k options are open, sampled
    from k + 1.
    """

    mixes_all = False

    def mix(self, alphas: Tensor, k: int, moment: StepContext) -> Mixture:
        drawn = (alphas + gumbel(alphas, moment)).topk(min(k + moment.for_alphas, alphas.shape[1]), 1).indices
        if not moment.for_alphas:  # a step of the weights: gates of exactly 1, without a gradient
            return Mixture(straight_through(alphas.detach(), drawn), active(drawn))
        pair = alphas.gather(1, drawn)
        # sampled again: the order of the first draw does not follow the softmax over the two
        opened = (pair + gumbel(pair, moment)).topk(k, 1).indices
        gates = alphas.new_zeros(alphas.shape).scatter(1, drawn, straight_through(pair.softmax(1), opened))
        return Mixture(gates, active(drawn))
