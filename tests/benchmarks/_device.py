"""What benchmarks that run on a GPU or a processor share: the device, and the time of a call on it."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, process_time

import torch

from nas.training import best_device

DEVICE = best_device()
ON_GPU = DEVICE.type == "cuda"


def seconds(call: Callable[[], object]) -> float:
    """Return what a call takes: CPU seconds on a processor, seconds on a GPU."""
    started = _now()
    call()
    return _now() - started


def _now() -> float:
    if not ON_GPU:
        return process_time()
    torch.cuda.synchronize()
    return perf_counter()
