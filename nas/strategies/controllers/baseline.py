"""Baseline: the moving average of values that a policy compares a value with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(slots=True)
class Baseline:
    """The moving sum of values, with its weight."""

    total: float = 0.0
    weight: float = 0.0

    def advantage(self, value: float, momentum: float) -> float:
        """Add a value, and return how far it is above the baseline."""
        self.total = momentum * self.total + (1 - momentum) * value
        self.weight = momentum * self.weight + 1 - momentum
        # the released code's order, of NAS-Bench-201 and of ENAS: the baseline already has the value that it is compared with
        return value - self.total / self.weight
