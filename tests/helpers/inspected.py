"""Subjects of inspection: small networks with images drawn at random, or made for a definition."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.building import Node, Shape, build
from nas.data import Images
from nas.inspection.subject import Subject, make_subject
from nas.runs.architecture import find_architecture
from nas.training import seeded

NETWORKS = {
    # name, options, shape of an image
    "cells": ("nasbench201:resnet", {"channels": 4, "cells_per_stage": 1, "classes": 3}, (3, 16, 16)),
    "two inputs": ("darts:DARTS_V2", {"channels": 4, "layers": 3, "classes": 3}, (3, 16, 16)),
    "fully connected": ("lenet:lenet5", {}, (1, 32, 32)),
    "swish and gates": ("mobilenet:mobilenet_v3_small", {"classes": 3}, (3, 32, 32)),
    "a chain": ("conv3-8 pool2 residual[conv3 conv3] classifier(classes=3)", {}, (2, 12, 12)),
}
"""Networks of several kinds: without a stem, without ReLU, with maps of one pixel, with two channels."""


def tree_of(name: str) -> tuple[Node, Shape]:
    """Return the tree of one of NETWORKS, and the shape of its images."""
    from dataclasses import replace

    written, options, shape = NETWORKS[name]
    return replace(find_architecture(written), options=options).tree(), shape


def subject_of(model: nn.Module, shape: Shape, images: int = 24, sample: int | None = None) -> Subject:
    """Return a network with random images of as many classes as it has logits, not normalised beyond 0..1."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (images, *shape), dtype=torch.uint8, generator=generator)
    with torch.no_grad():
        classes = model.eval()(torch.zeros(1, *shape)).shape[1]
    test = Images(x, torch.arange(images) % classes)
    statistics = (0.5,) * shape[0], (0.25,) * shape[0]
    return make_subject(model, test, tuple(f"class {i}" for i in range(classes)), statistics, images, sample)


def network_subject(name: str) -> Subject:
    """Return one of NETWORKS with random weights and images."""
    tree, shape = tree_of(name)
    with seeded(0):
        model = build(tree, shape)
    return subject_of(model, shape)


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a network's weights and buffers."""
    return {name: each.clone() for name, each in model.state_dict().items()}
