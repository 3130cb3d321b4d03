"""ProxylessNAS: binary gates, so that a search needs the memory of one path. Cai et al. 2019, arXiv:1812.00332."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nas.records import record
from nas.supernets.gates import Gates, StepContext
from nas.supernets.method import Alphas, Differentiable, Mixture
from nas.supernets.policy import Policy
from nas.supernets.sampling import active, gumbel, straight_through


@record
class Proxyless(Differentiable):
    """Sample one option for the weights; for the alphas sample two, open one and update both (section 3.2).

    The gradient passes through the softmax over the two. The released script by default computes all options to learn the
    alphas, and two with `grad_binary_mode`; we follow the paper. After each step the two alphas are rescaled, so that the
    probabilities of the others stay (section 3.2.1). Adam's momentum, weight decay and an expected cost move the others, too;
    the released script has `alphas: {beta1: 0, weight_decay: 0}`. For a `some_of` k options are open, sampled from k + 1.
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

    @torch.no_grad()
    def after_step(self, policy: Policy, before: Sequence[Tensor], gates: Gates) -> None:
        """Shift the sampled alphas of each choice, such that the sum of their exponentials is what it was before."""
        assert isinstance(policy, Alphas)
        for names, alphas, old in zip(policy.groups.values(), policy.matrices, before, strict=True):
            drawn = torch.tensor([gates[name].active for name in names], device=alphas.device)
            grown = alphas.gather(1, drawn).logsumexp(1, keepdim=True) - old.gather(1, drawn).logsumexp(1, keepdim=True)
            alphas.scatter_add_(1, drawn, -grown.expand_as(drawn))
