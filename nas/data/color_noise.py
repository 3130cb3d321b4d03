"""Colour noise: each image is shifted along the principal axes of the colours of the training pixels.

The noise of AlexNet (Krizhevsky et al. 2012, section 4.1): p_1 a_1 l_1 + p_2 a_2 l_2 + p_3 a_3 l_3 is added to all pixels
of an image, with p the eigenvectors of the covariance of the training pixels and a normal with deviation 0.1. The paper calls l
the eigenvalues, which are variances: at 256 levels one step would be over a thousand. We take their roots, as later codes do, so
that the noise does not depend on the scale of the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nas.data.base import Images
from nas.data.batch_random import BatchRandom
from nas.data.encoded import Encoded
from nas.data.feed import load_batches

AT_ONCE = 256

DECODED = 1024
"""The number of images, evenly spread, that are decoded where images are not held in memory."""


def color_axes(images: Images | Encoded) -> Tensor:
    """Return the principal axes of the pixels' colours as columns, float32 (C, C), each as long as the deviation along it.

    Pixels are scaled to 0..1. The sign of an axis is fixed: its largest component is positive.
    """
    chosen = torch.arange(len(images))
    if isinstance(images, Encoded) and len(images) > DECODED:
        chosen = torch.linspace(0, len(images) - 1, DECODED).long()
    channels = images.shape[0]
    total, products = torch.zeros(channels, dtype=torch.float64), torch.zeros(channels, channels, dtype=torch.float64)
    pixels = 0
    for batch in load_batches(images, torch.split(chosen, AT_ONCE), torch.device("cpu")):
        values = batch.x.permute(1, 0, 2, 3).flatten(1).double() / 255
        total += values.sum(1)
        products += values @ values.T
        pixels += values.shape[1]
    mean = total / pixels
    variances, vectors = torch.linalg.eigh(products / pixels - mean.outer(mean))
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    axes: Tensor = vectors * largest.sign() * variances.clamp(min=0).sqrt()
    return axes.float()


def add_color_noise(images: Tensor, axes: Tensor, std: Sequence[float], deviation: float, draws: BatchRandom) -> Tensor:
    """Shift the colours of each normalised image of (B, C, H, W) along the axes, by normal amounts of that deviation."""
    shift = draws.normal(deviation, len(axes)) @ axes.T.to(images.device)
    scale = torch.tensor([1 / each for each in std], dtype=torch.float32).to(images.device, non_blocking=True)
    return images + (shift * scale)[:, :, None, None]
