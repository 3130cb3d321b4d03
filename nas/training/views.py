"""Views of a test image: crops and mirror images whose predictions are averaged."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data import Images
from nas.data.encoded import Encoded

Views = Literal["centre", "flip", "ten_crop"]
"""The views that a test averages: the image, it and its mirror image, or five crops of it and their mirror images."""


@final
class AveragedViews(nn.Module):
    """A network that predicts the mean probabilities over the views of an image, as logits: their logarithms, (B, classes).

    It takes images that are larger than `size`, (height, width), where there are several crops.
    """

    def __init__(self, network: nn.Module, size: tuple[int, int], crops: bool) -> None:
        super().__init__()
        self.network, self.size, self.crops = network, size, crops

    def forward(self, x: Tensor) -> Tensor:
        probabilities = [self._probabilities(view) for crop in self._cropped(x) for view in (crop, crop.flip(3))]
        # kept above 0, so that the cross-entropy of an impossible class is finite
        return torch.stack(probabilities).mean(0).clamp(min=torch.finfo(torch.float32).tiny).log()

    def _probabilities(self, x: Tensor) -> Tensor:
        output = self.network(x)
        logits: Tensor = output[0] if isinstance(output, tuple) else output
        return logits.float().softmax(1)

    def _cropped(self, x: Tensor) -> list[Tensor]:
        """Return the four corners and the centre, or the image alone."""
        if not self.crops:
            return [x]
        (height, width), (down, right) = self.size, (x.shape[2] - self.size[0], x.shape[3] - self.size[1])
        corners = [(top, left) for top in (0, down) for left in (0, right)]
        places = [*corners, (down // 2, right // 2)]
        return [x[:, :, top : top + height, left : left + width] for top, left in places]


def averaging(model: nn.Module, images: Images | Encoded, views: Views, pad: int) -> tuple[nn.Module, Images | Encoded]:
    """Return a model that averages over the views, and the images as it takes them.

    Ten crops are those of Krizhevsky et al. 2012, section 4.1: four corners and the centre, and their mirror images. Images
    that are decoded on the fly are decoded with the border that a central crop leaves out, as 256 pixels for 224; those held
    in memory have no more than the network takes, and are padded with `pad` black pixels, as a training's random crops.
    """
    if views == "centre":
        return model, images
    averaged = AveragedViews(model, images.shape[1:], views == "ten_crop")
    if views == "flip":
        return averaged, images
    if isinstance(images, Encoded):
        return averaged, replace(images, size=round(images.size / images.centre), centre=1.0)
    return averaged, Images(functional.pad(images.x, (pad,) * 4), images.y)
