"""The monitor: whether a search by alphas collapses, as it is known to do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nas.operations.skip import Skip
from nas.records import Fraction, Natural, record
from nas.space import choices, decisions
from nas.supernets.derivation import Strengths

WINDOW = 5
PATIENCE = 3
LEAST_EPOCHS = 10
STOP_RATIO = 0.75


@record
class Monitor:
    """Says what is watched. A warning is given where more than `warn_skips` of the operations that may skip do,
    three epochs in a row.

    Every `hessian_every` epochs, if not 0, the largest eigenvalue of the Hessian of the loss by the alphas is measured on a
    batch of the alphas' images. With `early_stop` it is measured every epoch and the search ends, at the architecture of five
    epochs before, when its mean over five epochs has grown by more than a third in five: from the tenth epoch on, as
    RobustDARTS does (Zela et al. 2020, arXiv:1909.09656, section 4.3).
    """

    warn_skips: Fraction = 0.5
    hessian_every: Natural = 0
    early_stop: bool = False

    def measures(self, epoch: int) -> bool:
        """Whether the eigenvalue is measured after this epoch, the first being 1."""
        return self.early_stop or (self.hessian_every > 0 and epoch % self.hessian_every == 0)

    def warning(self, skips: Sequence[tuple[int, int]]) -> str:
        """Return a warning, or nothing where all is well; `skips` of how many operations were skips after each epoch."""
        lately = skips[-PATIENCE:]
        if len(lately) < PATIENCE or any(each <= self.warn_skips * skippable for each, skippable in lately):
            return ""
        found, skippable = lately[-1]
        hint = "" if self.early_stop else ", or set monitor.early_stop"
        return (
            f"{found} of {skippable} operations are skips, the third epoch in a row: the search is collapsing, as first-order "
            f"DARTS does; stop earlier{hint}, or take another method"
        )

    def stops(self, eigenvalues: Sequence[float]) -> bool:
        """Whether the search ends after these eigenvalues, one an epoch."""
        if not self.early_stop or len(eigenvalues) < LEAST_EPOCHS:
            return False
        now, before = eigenvalues[-WINDOW:], eigenvalues[-2 * WINDOW : -WINDOW]
        return sum(before) < STOP_RATIO * sum(now)


def entropy(strengths: Strengths) -> float:
    """Return the mean over the choices of the entropy of their options' shares: 1 where all count alike, 0 where one does."""
    found = [_entropy(each) for each in strengths.values() if len(each) > 1]
    return sum(found) / len(found) if found else 0.0


def _entropy(strengths: Sequence[float]) -> float:
    total = sum(strengths)
    shares = [each / total for each in strengths if each > 0]
    return -sum(share * math.log(share) for share in shares) / math.log(len(strengths))


def count_skips(space: Any, architecture: Any) -> tuple[int, int]:
    """Return at how many choices the architecture skips, and at how many it might."""
    known = choices(space)
    picked = [
        known[name].options[decision]
        for name, decision in decisions(space, architecture).items()
        if known[name].k is None and any(isinstance(option, Skip) for option in known[name].options)
    ]
    return sum(isinstance(option, Skip) for option in picked), len(picked)


def largest_eigenvalue(
    loss: Callable[[], Tensor],
    alphas: Sequence[nn.Parameter],
    generator: torch.Generator,
    average: Callable[[Sequence[Tensor]], None] = lambda _: None,
    iterations: int = 20,
) -> float:
    """Return the eigenvalue of the Hessian of the loss by the alphas that is largest in size, by power iteration.

    `average` makes tensors the mean over all workers, in place.
    """
    gradients = torch.autograd.grad(loss(), alphas, create_graph=True)
    vector = [torch.randn(each.shape, generator=generator).to(each) for each in alphas]
    eigenvalue = 0.0
    for _ in range(iterations):
        vector = _scaled(vector, 1 / _norm(vector))
        product = torch.autograd.grad(gradients, alphas, vector, retain_graph=True)
        average(product)
        eigenvalue = float(sum((p * v).sum() for p, v in zip(product, vector, strict=True)))
        if _norm(product) == 0:
            return 0.0
        vector = list(product)
    return eigenvalue


def _norm(vector: Sequence[Tensor]) -> float:
    return math.sqrt(float(sum(each.square().sum() for each in vector)))


def _scaled(vector: Sequence[Tensor], factor: float) -> list[Tensor]:
    return [each * factor for each in vector]
