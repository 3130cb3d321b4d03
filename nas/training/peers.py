"""Peers: the processes that train one model together; a process alone is its own only peer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, distributed

SIGNS_OF_LOSS = re.compile(r"gloo/|Connection (closed|reset) by peer|NCCL|Timed out waiting")
"""What is in an error of Gloo, which has no type of its own, or of NCCL."""


class PeerLost(BaseException):
    """Says that the processes no longer hear each other: no fault of what is trained, so it must not pass for a failure."""


@dataclass(frozen=True, slots=True)
class Peers:
    """Says which of how many processes this one is; each takes its share of every batch, and gradients are averaged.

    What is exchanged raises PeerLost where a process has died, or has not come within the time limit of the group.
    """

    rank: int = 0
    size: int = 1

    def share(self, indices: Tensor) -> Tensor:
        """Return this process's part of a batch's indices, all parts being equally large; what is left over is dropped."""
        return indices[self.rank : len(indices) - len(indices) % self.size : self.size]

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Make each tensor the mean over all processes, in place and in one message a data type."""

        def mean(flat: Tensor) -> None:
            distributed.all_reduce(flat)
            flat /= self.size

        self._exchange(tensors, mean)

    def total(self, tensors: Sequence[Tensor]) -> None:
        """Make each tensor the sum over all processes, in place and in one message a data type."""
        self._exchange(tensors, distributed.all_reduce)

    def align(self, tensors: Sequence[Tensor]) -> None:
        """Make each tensor what it is in the first process, in place and in one message a data type."""
        self._exchange(tensors, partial(distributed.broadcast, src=0))

    def _exchange(self, tensors: Sequence[Tensor], exchange: Callable[[Tensor], object]) -> None:
        kinds = dict.fromkeys(tensor.dtype for tensor in tensors)  # no set, whose order is each process's own
        for kind in kinds if self.size > 1 else ():
            alike = [tensor.detach() for tensor in tensors if tensor.dtype == kind]
            flat = torch.cat([tensor.flatten() for tensor in alike])
            with guarded():
                exchange(flat)
            for tensor, part in zip(alike, torch.split(flat, [tensor.numel() for tensor in alike]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def mean(self, value: float, device: torch.device) -> float:
        """Return the mean of a number over all processes; `device` is the one that they exchange on."""
        mean = torch.tensor(value, dtype=torch.float64, device=device)
        self.average([mean])
        return float(mean)


@contextmanager
def guarded() -> Iterator[None]:
    """Raise PeerLost where torch says in the block, as in a backward pass that averages gradients, that a process is gone."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or SIGNS_OF_LOSS.search(str(error)):
            raise PeerLost(f"{type(error).__name__}: {error}") from error
        raise


def peers() -> Peers:
    """Return the peers in torch's process group, if one was set up, as Ray Train and torchrun do."""
    if distributed.is_available() and distributed.is_initialized():
        return Peers(distributed.get_rank(), distributed.get_world_size())
    return Peers()
