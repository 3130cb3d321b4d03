"""Compare a DARTS supernet with plain and with grouped cells: a pass forward and backward, of weights and alphas.

The kinds take turns in one process, and medians are compared: of CPU seconds on a processor, of seconds in bfloat16 on a
GPU. Random images of CIFAR's size; 16 channels and 8 layers, as published. Other batches than 16 may be given as arguments;
on a processor 64 needs more than 16 GiB. On a GPU grouped cells are also compiled.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from statistics import median

import torch
from _calls import Calls
from _device import DEVICE, ON_GPU, seconds
from _timing import report
from torch import Tensor
from torch.nn import functional

from nas.supernets.darts import Darts
from nas.supernets.grouped import group_cells
from nas.supernets.supernet import Supernet
from nas.training.step import lay_out
from search_spaces import darts

FORMATS = {"channels last": torch.channels_last, "contiguous": torch.contiguous_format}
LAYOUTS = list(FORMATS)[:1] if ON_GPU else list(FORMATS)
FORMS = ("plain", "grouped", "compiled") if ON_GPU else ("plain", "grouped")
BATCHES = tuple(map(int, sys.argv[1:])) or ((16, 64) if ON_GPU else (16,))
ROUNDS = 20 if ON_GPU else 3
COUNTED = {"convolutions": "convolution", "batch norms": "batch_norm", "poolings": "pool2d"}
"""What is counted of a forward pass, and a part of its name in torch."""

FREE = """alias as_strided detach empty empty_like expand lift_fresh new_empty permute select slice split split_with_sizes squeeze
    t transpose unbind unsqueeze view _unsafe_view""".split()
"""The calls that only look at what is there, or ask for memory."""


@dataclass(frozen=True)
class Kind:
    """A form of the cells and a layout of the maps."""

    form: str
    layout: str

    def __str__(self) -> str:
        return f"{self.form}, {self.layout}"


@cache
def supernet(kind: Kind) -> Supernet:
    torch.manual_seed(0)
    made = Supernet(darts.network(darts.darts(), channels=16, layers=8), Darts())
    if kind.form != "plain":
        group_cells(made.model)
    for layer in made.model.get_submodule("layers").children() if kind.form == "compiled" else ():
        layer.compile()
    lay_out(made.to(DEVICE), FORMATS[kind.layout])
    return made


@cache
def data(batch: int, layout: str) -> tuple[Tensor, Tensor]:
    images = torch.randn(batch, 3, 32, 32, device=DEVICE).to(memory_format=FORMATS[layout])
    return images, torch.randint(10, (batch,), device=DEVICE)


def loss(kind: Kind, batch: int) -> Tensor:
    images, labels = data(batch, kind.layout)
    with torch.autocast(DEVICE.type, torch.bfloat16, enabled=ON_GPU):
        return functional.cross_entropy(supernet(kind)(images), labels)


def run(kind: Kind, batch: int) -> float:
    """Run a pass forward and backward; return its seconds."""
    supernet(kind).zero_grad()
    return seconds(lambda: torch.autograd.backward(loss(kind, batch)))


def memory(kind: Kind, batch: int) -> float:
    """Return the MiB of the peak on a GPU; on a processor, what is kept for the backward pass."""
    if ON_GPU:
        torch.cuda.reset_peak_memory_stats()
        run(kind, batch)
        return torch.cuda.max_memory_allocated() / 2**20
    kept: dict[int, int] = {}

    def note(saved: Tensor) -> Tensor:
        kept[saved.untyped_storage().data_ptr()] = saved.untyped_storage().nbytes()
        return saved.detach()  # the tensor itself would hold the graph, and the graph the tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
        held = loss(kind, batch)
    del held
    return sum(kept.values()) / 2**20


@contextmanager
def counting() -> Iterator[Counter[str]]:
    with Calls() as calls:
        yield calls.counts


def report_calls(kind: Kind) -> None:
    supernet(kind).zero_grad()
    with counting() as forward:
        held = loss(kind, 16)
    with counting() as backward:
        torch.autograd.backward(held)
    for what, part in COUNTED.items():
        calls = sum(number for name, number in forward.items() if part in name)
        report(f"{kind.form}: {what} of a forward pass", calls, "calls", "-")
    both = forward + backward
    total = both.total() - sum(both[name] for name in FREE)
    report(f"{kind.form}: all that computes, forward and backward", total, "calls", "-")


def report_times(batch: int) -> None:
    kinds = [Kind(form, layout) for layout in LAYOUTS for form in FORMS]
    rounds = [{kind: run(kind, batch) for kind in kinds} for _ in range(ROUNDS + 1)][1:]
    unit = "ms" if ON_GPU else "CPU ms"
    best = {}
    for kind in kinds:
        report(f"batch {batch}, {kind}", 1000 * median(each[kind] for each in rounds), unit, "-")
        report(f"batch {batch}, {kind}: {'peak' if ON_GPU else 'kept for backward'}", memory(kind, batch), "MiB", "-")
    for form in FORMS:
        best[form] = min((k for k in kinds if k.form == form), key=lambda k: median(each[k] for each in rounds))
    for form, goal in zip(FORMS[1:], ("<= 85 %", "-"), strict=False):
        ratio = median(each[best[form]] / each[best["plain"]] for each in rounds)
        report(f"batch {batch}, {form} over plain, each in its better layout", 100 * ratio, "%", goal)


def main() -> None:
    for form in ("plain", "grouped"):
        report_calls(Kind(form, LAYOUTS[0]))
    for batch in BATCHES:
        report_times(batch)


if __name__ == "__main__":
    main()
