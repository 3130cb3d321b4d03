"""DrNAS: options mixed by samples of a Dirichlet distribution. Chen et al. 2021, arXiv:2006.10355."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.distributions import Dirichlet, kl_divergence
from torch.nn import functional

from nas.building import Site
from nas.choice import Choice
from nas.records import NonNegative, Positive, RecordError, record
from nas.supernets.gates import StepContext
from nas.supernets.method import Differentiable, Mixture, Phase, divided
from nas.supernets.partial import partial_channels
from nas.supernets.policy import Policy
from nas.training import seeded


@record
class DrNas(Differentiable):
    """Mix all options by a sample of the Dirichlet distribution of concentration elu(alpha) + 1 (section 2.2).

    It learns in as many phases as `partial` says (section 2.4): each mixes 1/k of the channels, with so many `options`, of
    which the first phase has all. Without `partial` there is one phase, with 1/`k` of the channels. The released code
    widens weights by copies of random channels; here, the first channels go on and the others are new.

    The regulariser of section 2.2 is in the released code by default the alphas' weight decay, 1e-3, and so it is here;
    `kl` instead weighs the divergence from the uniform distribution, for which the weight decay should be 0. Options are
    as strong as their mean; the released code compares edges by softmaxes of alphas.
    """

    k: Positive = 1
    partial: tuple[Positive, ...] = (6, 4)
    options: tuple[Positive, ...] = (7, 4)
    kl: NonNegative = 0.0

    def __post_init__(self) -> None:
        if self.partial and len(self.partial) != len(self.options):
            raise RecordError(
                f"DrNas.partial has {len(self.partial)} phases, options has {len(self.options)}: give as many"
            )

    def mix(self, alphas: Tensor, k: int, moment: StepContext) -> Mixture:
        # torch draws from the Dirichlet distribution only by its own generator
        seed = int(torch.randint(2**62, (), generator=moment.generator))
        with seeded(seed):
            concentration = _concentration(alphas).cpu()
            exact = torch.promote_types(concentration.dtype, torch.float32)  # there is no draw in bfloat16
            drawn = Dirichlet(concentration.to(exact)).rsample()
        return Mixture(drawn.to(alphas))

    def strength(self, alphas: Tensor) -> Tensor:
        concentration = _concentration(alphas)
        return concentration / concentration.sum(1, keepdim=True)

    def relax(self, choice: Choice, site: Site, mixed: Callable[[Site], nn.Module]) -> nn.Module:
        return partial_channels(choice, site, mixed, self.k)

    def penalty(self, policy: Policy) -> Tensor | None:
        """Return `kl` times the sum of the divergences from the uniform distribution."""
        if not self.kl:
            return None
        found = [Dirichlet(_concentration(alphas)) for alphas in policy.parameters()]
        flat = [kl_divergence(each, Dirichlet(torch.ones_like(each.concentration))).sum() for each in found]
        return self.kl * torch.stack(flat).sum()

    def phases(self, epochs: int, alphas_from: int) -> tuple[Phase, ...]:
        if not self.partial:
            return super().phases(epochs, alphas_from)
        return tuple(
            Phase(
                replace(self, k=k, partial=(), options=()),
                part,
                self.options[i] if i else None,
                keep_weights=i > 0,
                alphas_from=alphas_from,
            )
            for i, (k, part) in enumerate(zip(self.partial, divided(epochs, len(self.partial)), strict=True))
        )


def _concentration(alphas: Tensor) -> Tensor:
    return functional.elu(alphas) + 1
