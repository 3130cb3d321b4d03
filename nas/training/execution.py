"""Execution: how a training runs on the available hardware."""

from __future__ import annotations

import os

from nas.data.feed import processors
from nas.records import Natural, NonNegative, Positive, record


@record
class Execution:
    """The execution of a training. It affects results only by rounding and noise, so it may change on resuming.

    `accumulate` is the number of parts in which a batch is computed, for a GPU without memory for all of it; batch norm
    sees one part at a time. `decoders` is the number of worker processes that decode images, by default one per available
    CPU; 0 decodes in the training process. `compile_layers` compiles each layer separately, which takes minutes. Within
    an epoch, progress is reported every `report_seconds`. A checkpoint is written at a report or after an epoch, where
    the last one is at least `checkpoint_seconds` old.
    """

    accumulate: Positive = 1
    decoders: Natural | None = None
    compile_layers: bool = False
    report_seconds: NonNegative = 5.0
    checkpoint_seconds: NonNegative = 30.0

    def decoders_here(self) -> int:
        """Return the number of decoding processes of this rank; by default the ranks on this machine share its CPUs."""
        if self.decoders is not None:
            return self.decoders
        # set by torchrun and by Ray Train
        return max(1, processors() // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
