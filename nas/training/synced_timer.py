"""A timer that fires at the same step in all ranks."""

from __future__ import annotations

from time import perf_counter
from typing import final

import torch

from nas.training.peers import Peers


@final
class SyncedTimer:
    """A timer that fires about every `seconds` seconds, at the same step in all ranks.

    The next step to look at the clock is agreed on by an all-reduce.
    """

    def __init__(self, peers: Peers, device: torch.device, seconds: float) -> None:
        self.peers, self.device, self.every = peers, device, seconds
        self.begun = self.last = perf_counter()
        self.steps, self.next = 0, 1

    def is_due(self) -> bool:
        """Count a step; return whether the timer fires after it."""
        self.steps += 1
        if self.steps < self.next:
            return False
        now = perf_counter()
        # clocks differ between ranks: all compare the same means, so all decide the same
        waited, all_of_it = (self.peers.mean(now - since, self.device) for since in (self.last, self.begun))
        fires = waited >= self.every
        # Estimate the steps until the timer is due from the mean seconds per step, and at most double the steps so far.
        left = self.every if fires else self.every - waited
        self.next += max(1, min(int(left * self.steps / all_of_it), self.steps))
        self.last = now if fires else self.last
        return fires
