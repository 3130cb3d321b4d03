"""Common parts of methods that sample: Gumbel noise, and gates that are hard in the forward and soft in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from nas.supernets.gates import StepContext


def gumbel(like: Tensor, moment: StepContext) -> Tensor:
    """Draw standard Gumbel noise of a tensor's shape, dtype and device; the same numbers on every device."""
    # minus the log of an exponential variable is a Gumbel variable; drawn on the CPU, as device generators differ
    noise = torch.empty(like.shape, dtype=torch.float64).exponential_(generator=moment.generator)
    return -noise.log().to(like, non_blocking=True)


def straight_through(soft: Tensor, chosen: Tensor) -> Tensor:
    """Return ones at the `chosen` indices (rows, k) and zeros elsewhere, with the gradient of `soft` (rows, options)."""
    hot = torch.zeros_like(soft).scatter(1, chosen, 1.0)
    return hot + (soft - soft.detach())  # the bracket is exactly 0, but has the gradient of `soft`


def active(chosen: Tensor) -> list[tuple[int, ...]]:
    """Return each row of indices (rows, k) in ascending order; the only place that waits for the device."""
    return [tuple(sorted(row)) for row in chosen.tolist()]


def best_of(architectures: Iterable[Any], score: Callable[[Any], float]) -> Any:
    """Return the architecture with the highest score, the first of equals; duplicates are scored once."""
    return max(dict.fromkeys(architectures), key=score)
