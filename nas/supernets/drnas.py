"""DrNAS: a mixture of options, sampled from a Dirichlet distribution. Chen et al. 2021, arXiv:2006.10355."""

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

    The search has one phase per entry of `partial` (section 2.4). Each phase mixes 1/k of the channels, k being its
    entry, and keeps as many options as its entry of `options`; the first phase has all options. Without `partial` there
    is one phase, with 1/`k` of the channels. The released code widens weights by copying random channels; here the first
    channels are kept and the others are new.

    The regulariser of section 2.2 is by default, as in the released code, the alphas' weight decay of 1e-3. `kl` instead
    weighs the divergence from the uniform distribution; the weight decay should then be 0. The strength of an option is
    its mean; the released code compares edges by softmaxes of alphas.
    """

    k: Positive = 1
    partial: tuple[Positive, ...] = (6, 4)
    options: tuple[Positive, ...] = (7, 4)
    kl: NonNegative = 0.0

    def __post_init__(self) -> None:
        if self.partial and len(self.partial) != len(self.options):
            raise RecordError(
                f"DrNas.partial has {len(self.partial)} phases, options has {len(self.options)}: give as many of each"
            )

    def mix(self, alphas: Tensor, k: int, moment: StepContext) -> Mixture:
        # torch samples from a Dirichlet distribution only with its global generator
        seed = int(torch.randint(2**62, (), generator=moment.generator))
        with seeded(seed):
            concentration = _concentration(alphas).cpu()
            exact = torch.promote_types(concentration.dtype, torch.float32)  # torch cannot sample in bfloat16
            drawn = Dirichlet(concentration.to(exact)).rsample()
        return Mixture(drawn.to(alphas))

    def strength(self, alphas: Tensor) -> Tensor:
        concentration = _concentration(alphas)
        return concentration / concentration.sum(1, keepdim=True)

    def relax(self, choice: Choice, site: Site, mixed: Callable[[Site], nn.Module]) -> nn.Module:
        return partial_channels(choice, site, mixed, self.k)

    def penalty(self, policy: Policy) -> Tensor | None:
        """Return `kl` times the summed divergence from the uniform distribution; None if `kl` is 0."""
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
                replace(self, k=k, partial=(), options=()),  # within a phase: one k, no further phases
                part,
                self.options[i] if i else None,
                keep_weights=i > 0,
                alphas_from=alphas_from,
            )
            for i, (k, part) in enumerate(zip(self.partial, divided(epochs, len(self.partial)), strict=True))
        )


def _concentration(alphas: Tensor) -> Tensor:
    return functional.elu(alphas) + 1  # positive, as concentrations must be
