"""Beat: at which steps the processes that train together look up from their work."""

from __future__ import annotations

from time import perf_counter
from typing import final

import torch

from nas.training.peers import Peers


@final
class SyncedTimer:
    """Comes every so many seconds, in every process at the same step: which one, they agree on at the one before."""

    def __init__(self, peers: Peers, device: torch.device, seconds: float) -> None:
        self.peers, self.device, self.every = peers, device, seconds
        self.begun = self.last = perf_counter()
        self.steps, self.next = 0, 1

    def comes(self) -> bool:
        """Count a step; return whether the processes look up after it."""
        self.steps += 1
        if self.steps < self.next:
            return False
        now = perf_counter()
        waited, all_of_it = (self.peers.mean(now - since, self.device) for since in (self.last, self.begun))
        is_due = waited >= self.every
        left = self.every if is_due else self.every - waited
        self.next += max(1, min(int(left * self.steps / all_of_it), self.steps))
        self.last = now if is_due else self.last
        return is_due
