"""Speed of zero-cost proxies: seconds for a cell of NAS-Bench-201, on one thread, beside a forward and a backward pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

import torch
from _timing import report
from torch.nn import functional

from nas.building import build
from nas.evaluation.proxies import Proxy
from nas.records import record_classes
from nas.space import sample
from nas.training import seeded
from search_spaces.nasbench201 import nasbench201, network

CELLS, BATCH = 5, 64


def seconds(call: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    torch.set_num_threads(1)
    images, labels = torch.randn(BATCH, 3, 32, 32), torch.arange(BATCH) % 10
    proxies = [cls() for cls in record_classes(Proxy).values()]
    with seeded(0):
        models = [build(network(sample(nasbench201(), Random(seed)))) for seed in range(CELLS)]
    passes = [
        seconds(lambda model=model: functional.cross_entropy(model(images), labels).backward()) for model in models
    ]
    one = sum(passes)
    report("a forward and a backward pass", 1e3 * one / CELLS, "ms a cell", "none")
    goals = {"synflow": 20, "nwot": 80, "zen": 40, "fisher": 125, "grasp": 650}
    for proxy in proxies:
        taken = [seconds(lambda model=model, proxy=proxy: proxy.score(model, images, labels)) for model in models]
        report(proxy.name, 100 * sum(taken) / one, "% of it", f"< {goals.get(proxy.name, 110)} %")


if __name__ == "__main__":
    main()
