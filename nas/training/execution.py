"""Execution: how a training is carried out on the hardware at hand."""

from __future__ import annotations

import os

from nas.data.feed import processors
from nas.records import Natural, NonNegative, Positive, record


@record
class Execution:
    """Says how a training is carried out; of its results only rounding and noise depend on it, so it may change on resuming.

    `accumulate` computes a batch in so many parts, for a GPU that has no room for the whole; batch norm sees one part at a
    time. `decoders` is the number of processes that decode images, by default as many as there are processors for it; 0
    decodes here. `compile_layers` compiles each layer by itself, which takes minutes. Within an epoch progress is reported
    every `report_seconds`; a checkpoint is written then, and after an epoch, where the last is `checkpoint_seconds` old.
    """

    accumulate: Positive = 1
    decoders: Natural | None = None
    compile_layers: bool = False
    report_seconds: NonNegative = 5.0
    checkpoint_seconds: NonNegative = 30.0

    def decoders_here(self) -> int:
        """Return how many processes decode for this one, of those that train on this machine."""
        if self.decoders is not None:
            return self.decoders
        return max(1, processors() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
