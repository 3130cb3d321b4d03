"""The monitor: detects the collapse to skip connections that searches by alphas are known for."""

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

WINDOW = 5  # epochs in a mean, and between the two means that are compared
PATIENCE = 3  # epochs in a row before a warning
LEAST_EPOCHS = 10  # two windows
STOP_RATIO = 0.75  # earlier mean / present mean, as in RobustDARTS


@record
class Monitor:
    """The monitoring of a search: warns of too many skip connections, measures the Hessian, and may stop early.

    A warning is given where, three epochs in a row, more than `warn_skips` of the operations that may be skips are skips.
    Every `hessian_every` epochs, if not 0, the largest eigenvalue of the Hessian of the loss with respect to the alphas
    is measured, on a batch of the alphas' images. With `early_stop` it is measured every epoch. From the tenth epoch on,
    the search then ends where the eigenvalue's mean over five epochs has grown by more than a third in five epochs; the
    architecture is that of five epochs before. So does RobustDARTS (Zela et al. 2020, arXiv:1909.09656, section 4.3).
    """

    warn_skips: Fraction = 0.5
    hessian_every: Natural = 0
    early_stop: bool = False

    def measures(self, epoch: int) -> bool:
        """Whether the eigenvalue is measured after this epoch, counted from 1."""
        return self.early_stop or (self.hessian_every > 0 and epoch % self.hessian_every == 0)

    def warning(self, skips: Sequence[tuple[int, int]]) -> str:
        """Return a warning, or an empty string; `skips` has the number of skips and of skippable operations after each epoch."""
        lately = skips[-PATIENCE:]
        if len(lately) < PATIENCE or any(each <= self.warn_skips * skippable for each, skippable in lately):
            return ""
        found, skippable = lately[-1]
        hint = "" if self.early_stop else ", or set monitor.early_stop"
        return (
            f"{found} of {skippable} operations are skip connections, for {PATIENCE} epochs in a row: the search is collapsing, "
            f"as first-order DARTS does; stop earlier{hint}, or take another method"
        )

    def stops(self, eigenvalues: Sequence[float]) -> bool:
        """Whether the search ends after these eigenvalues, one per epoch."""
        if not self.early_stop or len(eigenvalues) < LEAST_EPOCHS:
            return False
        now, before = eigenvalues[-WINDOW:], eigenvalues[-2 * WINDOW : -WINDOW]
        return sum(before) < STOP_RATIO * sum(now)


def entropy(strengths: Strengths) -> float:
    """Return the normalised entropy of the options' shares, averaged over choices: 1 if all are equal, 0 if one has all."""
    found = [_entropy(each) for each in strengths.values() if len(each) > 1]
    return sum(found) / len(found) if found else 0.0


def _entropy(strengths: Sequence[float]) -> float:
    total = sum(strengths)
    shares = [each / total for each in strengths if each > 0]
    return -sum(share * math.log(share) for share in shares) / math.log(len(strengths))


def count_skips(space: Any, architecture: Any) -> tuple[int, int]:
    """Return the number of choices at which the architecture has a skip, and at which it could have one."""
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
    """Return the eigenvalue, largest in absolute value, of the Hessian of the loss with respect to the alphas.

    By power iteration. `average` averages tensors over all workers, in place.
    """
    gradients = torch.autograd.grad(loss(), alphas, create_graph=True)
    vector = [torch.randn(each.shape, generator=generator).to(each) for each in alphas]
    eigenvalue = 0.0
    for _ in range(iterations):
        vector = _scaled(vector, 1 / _norm(vector))
        # Hessian-vector product: differentiate the gradient once more, along `vector`
        product = torch.autograd.grad(gradients, alphas, vector, retain_graph=True)
        average(product)
        # Rayleigh quotient of a unit vector; unlike the norm of the product it has a sign
        eigenvalue = float(sum((p * v).sum() for p, v in zip(product, vector, strict=True)))
        if _norm(product) == 0:  # no direction to continue in
            return 0.0
        vector = list(product)
    return eigenvalue


def _norm(vector: Sequence[Tensor]) -> float:
    return math.sqrt(float(sum(each.square().sum() for each in vector)))


def _scaled(vector: Sequence[Tensor], factor: float) -> list[Tensor]:
    return [each * factor for each in vector]
