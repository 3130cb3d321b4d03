"""Recalibration: batch norms with the statistics of a network's own maps, as its weights were trained in another one."""

from __future__ import annotations

from contextlib import closing

import torch
from torch import nn

from nas.data import Split, normalise
from nas.data.feed import load_batches
from nas.training.recipe import BaseRecipe
from nas.training.step import memory_format

CALIBRATION_IMAGES = 512
"""The number of training images from which the norms of an architecture get their statistics."""


@torch.no_grad()
def recalibrate(model: nn.Module, split: Split, recipe: BaseRecipe, count: int = CALIBRATION_IMAGES) -> None:
    """Give all batch norms the statistics of the first training images, at most `count`, each batch weighed alike.

    The images are not augmented. Source: Yu and Huang 2019, arXiv:1903.05134, section 3.3 (the post-statistics of batch norms).
    """
    norms = [each for each in model.modules() if isinstance(each, nn.BatchNorm2d) and each.track_running_stats]
    momentum = [each.momentum for each in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    device = next(model.parameters()).device
    parts = torch.split(torch.arange(min(count, len(split.train))), 2 * recipe.batch)
    with closing(load_batches(split.train, parts, device)) as coming:
        for batch in coming:
            x = normalise(batch.x, split.mean, split.std)
            model(x.contiguous(memory_format=memory_format(recipe)))
    for norm, before in zip(norms, momentum, strict=True):
        norm.momentum = before
    model.eval()
