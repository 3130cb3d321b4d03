"""Reaches: which pixels of the image the units of each layer see."""

from __future__ import annotations

import torch
from torch import Tensor

from nas.inspection.subject import Subject, depths, device_of
from nas.tracing import Reach, Tracer, reach_of, ready_image


def reaches_of(subject: Subject) -> dict[str, Reach]:
    """Return the reach of the units in each part of a network that has a map, by name."""
    found: dict[str, Reach] = {}

    def keep(name: str, output: object) -> None:
        if isinstance(output, Tensor) and output.dim() == 4:
            found[name] = reach_of(output)

    hooks = [
        part.register_forward_hook(lambda _, __, output, name=name: keep(name, output))
        for name, part in depths(subject.model).items()
    ]
    try:
        with torch.no_grad(), Tracer():
            subject.model(ready_image((1, *subject.images.shape), device_of(subject.model)))
    finally:
        for hook in hooks:
            hook.remove()
    return found
