"""The ranks that train one model together; a process alone is rank 0 of 1."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, distributed

SIGNS_OF_LOSS = re.compile(r"gloo/|Connection (closed|reset) by peer|NCCL|Timed out waiting")
"""Patterns in the messages of Gloo, which has no error type, and of NCCL."""


class PeerLost(BaseException):
    """The error of a lost rank. It is a BaseException: the candidate is not at fault, and must not be recorded as failed."""


@dataclass(frozen=True, slots=True)
class Peers:
    """This process's rank, and the number of ranks. Each rank takes its share of every batch; gradients are averaged.

    Collectives raise PeerLost where a rank has died, or has not joined within the time limit of the process group.
    """

    rank: int = 0
    size: int = 1

    def share(self, indices: Tensor) -> Tensor:
        """Return this rank's share of a batch's indices. Shares are of one size; the remainder is dropped."""
        return indices[self.rank : len(indices) - len(indices) % self.size : self.size]

    def all_reduce_mean(self, tensors: Sequence[Tensor]) -> None:
        """All-reduce each tensor to its mean over the ranks, in place, in one message per dtype."""

        def mean(flat: Tensor) -> None:
            distributed.all_reduce(flat)
            flat /= self.size

        self._exchange(tensors, mean)

    def all_reduce_sum(self, tensors: Sequence[Tensor]) -> None:
        """All-reduce each tensor to its sum over the ranks, in place, in one message per dtype."""
        self._exchange(tensors, distributed.all_reduce)

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Broadcast each tensor from rank 0, in place, in one message per dtype."""
        self._exchange(tensors, partial(distributed.broadcast, src=0))

    def _exchange(self, tensors: Sequence[Tensor], exchange: Callable[[Tensor], object]) -> None:
        # one flat message per dtype: the latency of many small ones would dominate
        kinds = dict.fromkeys(tensor.dtype for tensor in tensors)  # not a set: its order may differ between ranks
        for kind in kinds if self.size > 1 else ():
            same_kind = [tensor.detach() for tensor in tensors if tensor.dtype == kind]
            flat = torch.cat([tensor.flatten() for tensor in same_kind])
            with guarded():
                exchange(flat)
            for tensor, part in zip(
                same_kind, torch.split(flat, [tensor.numel() for tensor in same_kind]), strict=True
            ):
                tensor.copy_(part.view_as(tensor))

    def mean(self, value: float, device: torch.device) -> float:
        """Return the mean of a number over the ranks, all-reduced on `device`."""
        mean = torch.tensor(value, dtype=torch.float64, device=device)
        self.all_reduce_mean([mean])
        return float(mean)


@contextmanager
def guarded() -> Iterator[None]:
    """Raise PeerLost where torch reports in the block, as in a backward pass that reduces gradients, that a rank is gone."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or SIGNS_OF_LOSS.search(str(error)):
            raise PeerLost(f"{type(error).__name__}: {error}") from error
        raise


def peers() -> Peers:
    """Return this process's rank in torch's process group, where one is set up, as by Ray Train or torchrun."""
    if distributed.is_available() and distributed.is_initialized():
        return Peers(distributed.get_rank(), distributed.get_world_size())
    return Peers()
