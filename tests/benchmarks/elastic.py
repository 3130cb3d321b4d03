"""Elastic weights beside closed networks, on the space `mobile` at 32 px: a step of the sandwich rule, and the score of a path.

A step is forward and backward of the largest architecture, the smallest and two random ones that the store has not met; beside it
the same four as ordinary networks, built before. A score is what a search over a store does with an architecture: take it out,
give its norms the statistics of 500 images, classify 1,000; beside it the same passes of an ordinary network. Both take turns;
medians of CPU seconds, of seconds on a GPU.

    python tests/benchmarks/elastic.py [batch] [rounds]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from statistics import median
from typing import Any

import torch
from _device import DEVICE, seconds
from _timing import report
from torch import nn
from training import images

from nas.building import build
from nas.data import Split
from nas.space import sample
from nas.supernets.big_nas import BigNas
from nas.supernets.elastic_method import ElasticNet
from nas.supernets.recipe import WeightsRecipe
from nas.training import evaluate, seeded, to_device
from nas.training.recalibration import recalibrate
from search_spaces.mobile import mobile

RECIPE = WeightsRecipe()


def passes(runs: Sequence[Callable[[], Any]]) -> None:
    """Run networks forward and backward."""
    for run in runs:
        torch.autograd.backward(run().square().mean())


def scored(take: Callable[[], nn.Module], split: Split) -> None:
    """Take a network whose norms know their statistics, and classify the validation images."""
    evaluate(take(), split.validation, split, RECIPE, DEVICE)


def recalibrated(model: nn.Module, split: Split) -> nn.Module:
    recalibrate(model, split, RECIPE)
    return model


def closed(architecture: Any) -> nn.Module:
    return to_device(build(architecture, (3, 32, 32)), RECIPE, DEVICE)


def main(batch: int = 64, rounds: int = 7) -> None:
    """Measure and print."""
    space, rng = mobile(), Random(0)
    with seeded(0):
        net = ElasticNet(space, lambda architecture: architecture, BigNas(), (3, 32, 32))
    to_device(net.model, RECIPE, DEVICE)
    x = torch.randn(batch, 3, 32, 32, device=DEVICE).contiguous(memory_format=torch.channels_last)
    ratios: list[float] = []
    for i in range(rounds + 1):
        four = [net.model.largest, net.model.smallest, *(sample(space, rng) for _ in range(2))]
        ours = [partial(net.model, x, each) for each in four]
        others = [partial(closed(each), x) for each in four]
        store, alone = (seconds(partial(passes, runs)) for runs in (ours, others))
        ratios += [store / alone] if i else []
    report(f"a step of four networks, batch {batch}, beside closed ones", 100 * median(ratios), "%", "<= 125 %")

    split, ratios = images(500, 32, 10, validation=1000), []
    for i in range(rounds + 1):
        architecture = sample(space, rng)
        own = partial(net.take_out, architecture, split, RECIPE)
        other = partial(recalibrated, closed(architecture), split)
        store, alone = (seconds(partial(scored, take, split)) for take in (own, other))
        ratios += [store / alone] if i else []
    report("a score of a path, beside a closed network", 100 * median(ratios), "%", "<= 130 %")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
