"""Deployment: what surrounds a network where it is used, inside the exported graph or described next to it."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from nas.evaluation.captured import answering, random_images
from nas.export.subject import Built, ExportRequest, Subject
from nas.preprocessing import Preprocessing
from nas.records import FORMAT, RecordError, record, to_plain
from nas.training.randomness import stream

DEPLOYMENT = "cellstack_deployment"
"""The key, in the metadata of an ONNX file, of the JSON that is also in the file next to it."""


@record
class Quantisation:
    """What the quantisation of a network cost and gained; times are those of one image and one thread in onnxruntime.

    Accuracies are top-1 on `test_images` test images; `calibration_images` training images gave the ranges of activations.
    """

    calibration_images: int
    test_images: int
    top1_percent_before: float
    top1_percent_after: float
    size_bytes_before: int
    size_bytes_after: int
    latency_ms_before: float
    latency_ms_after: float


@record
class Deployment:
    """How an exported network is used: what it takes, what it returns, and how an image becomes an input.

    `input` is (C, H, W), without the batch. With `preprocessing_inside` the graph takes the pixels as uint8 and normalises them;
    resizing comes before in any case. `classes` are in the order of the outputs.
    """

    input: tuple[int, int, int]
    dtype: Literal["uint8", "float32"]
    output: Literal["logits", "probabilities"]
    weights: Literal["float32", "float16", "int8"]
    preprocessing_inside: bool
    preprocessing: Preprocessing | None
    classes: tuple[str, ...]
    quantisation: Quantisation | None = None

    def text(self) -> str:
        """Return it as JSON, all fields written out."""
        return json.dumps({"cellstack": FORMAT, **to_plain(self, defaults=True)}, indent=1) + "\n"

    def example(self, batch: int) -> Tensor:
        """Return random images (B, C, H, W) of its type, the same at each call."""
        if self.dtype == "float32":
            return random_images(self.input, batch)
        generator = stream(0, "export", "pixels", batch)
        return torch.randint(0, 256, (batch, *self.input), dtype=torch.uint8, generator=generator)


def deployment_of(subject: Subject, is_int8: bool = False) -> Deployment:
    """Return how the exported network is used. Raises RecordError where its normalisation is to be inside, and is not known."""
    asked, found = subject.asked, subject.found
    check_inside(asked, found.preprocessing)
    return Deployment(
        found.input,
        "uint8" if asked.inside else "float32",
        "probabilities" if asked.softmax else "logits",
        "int8" if is_int8 else "float16" if asked.half else "float32",
        asked.inside,
        found.preprocessing,
        found.classes,
    )


def check_inside(asked: ExportRequest, known: Preprocessing | None) -> None:
    """Raise RecordError where the preprocessing is to be inside the graph, and mean and deviation are not known."""
    if asked.inside and (known is None or not known.mean):
        raise RecordError(
            f"--preprocessing inside: {asked.name} does not say the mean and standard deviation of its training: leave it out, "
            'or give weights with a .json next to them, {"Preprocessing": {"mean": [...], "std": [...]}}'
        )


class _Deployed(nn.Module):
    """A network with what its deployment has inside; it takes and returns (B, ...) in float32, or pixels in uint8."""

    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, deployment: Deployment) -> None:
        super().__init__()
        self.is_half = deployment.weights == "float16"
        self.model = deepcopy(model).half() if self.is_half else model
        self.inside, self.softmax = deployment.preprocessing_inside, deployment.output == "probabilities"
        known = deployment.preprocessing
        if self.inside and known is not None:
            for name, values in (("mean", known.mean), ("std", known.std)):
                self.register_buffer(name, 255 * torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        if self.inside:
            images = (images.float() - self.mean) / self.std
        output: Tensor = self.model(images.half() if self.is_half else images).float()
        return output.softmax(1) if self.softmax else output


def deployed(model: nn.Module, deployment: Deployment) -> nn.Module:
    """Return a network with what its deployment has inside, in evaluation mode; the network itself where that is nothing."""
    surrounds = deployment.preprocessing_inside or deployment.output != "logits" or deployment.weights == "float16"
    return _Deployed(answering(model), deployment).eval() if surrounds else model


def reference_of(built: Built, deployment: Deployment) -> nn.Module:
    """Return the network that an exported one is compared with: as trained, in float32, with the same things inside."""
    return deployed(built.model, replace(deployment, weights="float32"))
