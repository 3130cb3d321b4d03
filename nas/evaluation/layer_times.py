"""The time of each layer of a network in torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class LayerTime:
    """The median time of a leaf module in an inference, in milliseconds; one that runs more than once has the sum."""

    name: str
    kind: str
    ms: float


def layer_times(model: nn.Module, run: Callable[[], object], device: str, warm_up: int, runs: int) -> list[LayerTime]:
    """Return the times of the leaf modules in the order of their first call; `run` runs the model once.

    Each layer is waited for on a GPU, so that the sum is more than the time of the network there. What is computed outside of
    modules, as the sum of a residual, is in none of them.
    """
    spans: dict[str, list[float]] = {}
    began: dict[str, float] = {}
    kinds: dict[str, str] = {}

    def begin(name: str) -> None:
        began[name] = now(device)

    def end(name: str, part: nn.Module) -> None:
        kinds[name] = type(part).__name__
        spans[name][-1] += now(device) - began[name]

    hooks = []
    for name, part in model.named_modules():
        if next(part.children(), None) is None:
            spans[name] = []
            hooks.append(part.register_forward_pre_hook(lambda *_, name=name: begin(name)))
            hooks.append(part.register_forward_hook(lambda part, *_, name=name: end(name, part)))
    try:
        for _ in range(warm_up + runs):
            for span in spans.values():
                span.append(0.0)
            run()
    finally:
        for hook in hooks:
            hook.remove()
    return [LayerTime(name, kind, 1000 * median(spans[name][warm_up:])) for name, kind in kinds.items()]


def now(device: str) -> float:
    """Return the seconds of a clock, after what the device has begun is finished."""
    if device == "cuda":
        torch.cuda.synchronize()
    return perf_counter()
