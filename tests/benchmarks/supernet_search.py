"""Measure a supernet search: an epoch beside its bare passes, second order beside first, one path beside all.

The kinds of a pair take turns in one process, and medians are compared: of CPU seconds on a processor, of seconds on a GPU.
Random images of CIFAR's size; the DARTS supernet of 16 channels and 8 layers, plain execution. On a GPU the batch is 64,
as published, and the seconds of a whole published epoch (391 batches each of weights and alphas) are projected. Another batch
may be given as argument.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from _device import DEVICE, ON_GPU, seconds
from _timing import report

from nas.data import Digits, Images, Split
from nas.supernets.darts import Darts
from nas.supernets.gdas import Gdas
from nas.supernets.method import Method, Phase
from nas.supernets.recipe import SupernetSearch, WeightsRecipe
from nas.supernets.supernet import Supernet
from nas.supernets.supernet_trainer import SupernetTrainer
from nas.training import seeded, to_device
from nas.training.peers import Peers
from search_spaces import darts

BATCH = int(sys.argv[1]) if len(sys.argv) > 1 else 64 if ON_GPU else 16
BATCHES = 8 if ON_GPU else 2
ROUNDS = 5 if ON_GPU else 3
PUBLISHED_BATCHES = 391


def turns(method: Method) -> SupernetTrainer:
    """Return a supernet of the DARTS space in training by a method."""
    images = Images(torch.randint(256, (BATCH * BATCHES, 3, 32, 32)).byte(), torch.randint(10, (BATCH * BATCHES,)))
    split = Split("random", Digits(), images, images, tuple("0123456789"), (0.5,) * 3, (0.25,) * 3)
    declared = SupernetSearch(method, Digits(), weights=WeightsRecipe(batch=BATCH))
    with seeded(0):
        supernet = Supernet(darts.network(darts.darts(), channels=16, layers=8), method)
    to_device(supernet, declared.weights, DEVICE)
    return SupernetTrainer(supernet, declared, Phase(method, 50), split, 0, Peers())


def bare(searched: SupernetTrainer) -> None:
    """Do the forward and backward passes of an epoch, and nothing else."""
    batch = searched.fixed_batch(0)
    for _ in range(BATCHES):
        torch.autograd.grad(searched.outcome(batch).loss, searched.alphas)
        torch.autograd.backward(searched.outcome(batch).loss, inputs=searched.weights)


def medians(*calls: Callable[[], object]) -> list[float]:
    """Return the median seconds of calls that take turns, after one round that does not count."""
    rounds = [[seconds(call) for call in calls] for _ in range(ROUNDS + 1)][1:]
    return [median(each) for each in zip(*rounds, strict=True)]


def main() -> None:
    first, second, path = (turns(method) for method in (Darts(), Darts("second"), Gdas()))
    kinds: list[Callable[[], object]] = [partial(bare, first)]
    kinds += [partial(each.epoch, 0, 0) for each in (first, second, path)]
    passes, epoch, unrolled, single = medians(*kinds)
    print(f"  {DEVICE}, batch {BATCH}, {torch.get_num_threads()} threads")
    report("an epoch beside its bare passes", 100 * epoch / passes, "%", "<= 105 %")
    report("second order beside first", 100 * unrolled / epoch, "%", "<= 260 %")
    report("GDAS, one path, beside DARTS, all", 100 * single / epoch, "%", "<= 35 %")
    report(f"first order, {BATCH} + {BATCH} images", 1000 * epoch / BATCHES, "ms", "")
    if ON_GPU:
        report("projected first-order epoch of CIFAR-10", epoch / BATCHES * PUBLISHED_BATCHES, "s", "")
        report("peak memory", torch.cuda.max_memory_allocated() / 2**20, "MiB", "")


if __name__ == "__main__":
    main()
