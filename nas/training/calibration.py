"""Calibration: how far the confidence of predictions is from their accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

BINS = 15
"""The number of confidence bins for the calibration error, as in Guo et al. 2017."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Counts of predictions by their confidence, the top probability, in equal bins from 0 to 1.

    Of each bin: the number of images, how many of them are classified correctly, and the sum of their confidences.
    """

    images: tuple[int, ...]
    right: tuple[int, ...]
    confidence: tuple[float, ...]

    @property
    def error_percent(self) -> float:
        """The expected calibration error: the mean over images of |accuracy - confidence| of their bin.

        Guo et al. 2017, arXiv:1706.04599, eq. 3.
        """
        gaps = (abs(right - sure) for right, sure in zip(self.right, self.confidence, strict=True))
        return 100 * sum(gaps) / max(1, sum(self.images))


def count_by_confidence(logits: Tensor, right: Tensor) -> Tensor:
    """Return, for each bin, the images, the correct ones, and the sum of confidences: float64 (BINS, 3).

    Takes logits (B, classes), and whether each is right, (B,). The sum over batches makes a Calibration by `calibration_of`.
    """
    confidence, right = logits.float().softmax(1).amax(1).double(), right.double()
    edges = torch.arange(1, BINS, dtype=torch.float64, device=logits.device) / BINS
    # (B, BINS) one-hot; the product below sums per bin without reading anything back
    bins = functional.one_hot(torch.bucketize(confidence, edges), BINS).double()
    return bins.T @ torch.stack([torch.ones_like(right), right, confidence], 1)


def calibration_of(counts: Tensor) -> Calibration:
    """Return the calibration of summed counts, (BINS, 3)."""
    images, right, confidence = counts.T.tolist()
    return Calibration(tuple(map(round, images)), tuple(map(round, right)), tuple(confidence))
