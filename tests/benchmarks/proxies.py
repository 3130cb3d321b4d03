"""Speed of zero-cost proxies on cells of NAS-Bench-201, on one thread, in percent of a forward and a backward pass.

The pass is measured anew next to each proxy, both by the least CPU seconds of three calls: a machine that others use is slower
by turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

import torch
from _timing import report
from torch import Tensor, nn
from torch.nn import functional

from nas.building import build
from nas.evaluation.proxies import Proxy
from nas.records import record_classes
from nas.space import sample
from nas.training import seeded
from search_spaces.nasbench201 import nasbench201, network

CELLS, BATCH, CALLS = 3, 64, 3


def seconds(call: Callable[..., object], *arguments: object) -> float:
    """Return the CPU seconds of a call."""
    start = time.process_time()
    call(*arguments)
    return time.process_time() - start


def passed(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Run a network forward and backward."""
    torch.autograd.backward(functional.cross_entropy(model(images), labels))


def main() -> None:
    torch.set_num_threads(1)
    images, labels = torch.randn(BATCH, 3, 32, 32), torch.arange(BATCH) % 10
    with seeded(0):
        models = [build(network(sample(nasbench201(), Random(seed)))) for seed in range(CELLS)]
    goals = {"synflow": 20, "nwot": 80, "zen": 40, "fisher": 125, "grasp": 650}
    for proxy in (cls() for cls in record_classes(Proxy).values()):
        passes = taken = 0.0
        for model in models:
            pairs = [
                (seconds(passed, model, images, labels), seconds(proxy.score, model, images, labels))
                for _ in range(CALLS)
            ]
            one, score = map(min, zip(*pairs, strict=True))
            passes, taken = passes + one, taken + score
        report(proxy.name, 100 * taken / passes, "% of a pass", f"< {goals.get(proxy.name, 110)} %")


if __name__ == "__main__":
    main()
