"""Mixing of the images within a batch: mixup and CutMix."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class MixedLabels:
    """The two labels of each mixed image, int64 (B,); `share`, float32 (), weighs `y`, and 1 - `share` weighs `other`."""

    y: Tensor
    other: Tensor
    share: Tensor


def mix(x: Tensor, y: Tensor, mixup: float, cutmix: float, rng: Random) -> tuple[Tensor, MixedLabels]:
    """Mix each of the float images (B, C, H, W), labels int64 (B,), with the previous one; the first with the last.

    `mixup` blends the two (Zhang et al. 2017, arXiv:1710.09412), `cutmix` pastes a rectangle of the other (Yun et al.
    2019, arXiv:1905.04899). Both numbers are the alphas of Beta(alpha, alpha), from which the image's share is drawn once
    a batch, as in the released codes. Where both are above 0, each batch takes one of the two with equal probability. The
    released codes draw the pairs; here the batch must be in random order. Nothing is read back from the device.
    """
    cuts = cutmix > 0 and (mixup == 0 or rng.random() < 0.5)
    alpha = cutmix if cuts else mixup
    share = rng.betavariate(alpha, alpha) if alpha else 1.0
    if cuts:
        mixed, share = _paste(x, share, rng)
    else:
        mixed = x.roll(1, 0).lerp_(x, share)  # share * x + (1 - share) * other; in place, as `roll` has copied
    return mixed, MixedLabels(y, y.roll(1), x.new_full((), share))


def _paste(x: Tensor, share: float, rng: Random) -> tuple[Tensor, float]:
    """Paste a rectangle of 1 - share of the area, clipped at the border; returns the images and the share that is left.

    For an odd side the released code pastes one pixel less; we do not, as with cutout.
    """
    # Each side is sqrt(1 - share) of the image's (CutMix, section 3.1).
    rows, columns = (_span(size, (1 - share) ** 0.5, rng) for size in x.shape[2:])
    mixed = x.clone()
    mixed[:, :, rows, columns] = x[:, :, rows, columns].roll(1, 0)
    pasted = (rows.stop - rows.start) * (columns.stop - columns.start)
    return mixed, 1 - pasted / (x.shape[2] * x.shape[3])


def _span(size: int, part: float, rng: Random) -> slice:
    """Return the rows or columns of a rectangle with a uniform centre, clipped at the border."""
    side = int(size * part)
    first = rng.randrange(size) - side // 2
    return slice(max(first, 0), min(first + side, size))
