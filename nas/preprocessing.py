"""Preprocessing: how an image file becomes the input of a network; stored with the weights."""

from __future__ import annotations

from typing import Literal

from nas.records import Fraction, record

Resize = Literal["none", "crop", "stretch", "unknown"]
Interpolation = Literal["bilinear", "bicubic"]


@record
class Preprocessing:
    """How an image becomes an input: pixels scaled to [0, 1], minus `mean`, divided by `std`, per channel.

    `channels` is their order: RGB, or gray. `resize` "crop" scales the shorter side to the size / `centre` and takes the
    centre crop, "stretch" scales both sides to the size, "none" takes images as they are; "unknown" is that of a user's own
    data class, or of weights from version 0.1.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: str = "RGB"
    resize: Resize = "unknown"
    centre: Fraction = 1.0
    interpolation: Interpolation | None = None

    def describe(self) -> str:
        """Return the preprocessing as short text, for people who use the weights elsewhere."""
        by = f", {self.interpolation}" if self.interpolation else ""
        crop = f"shorter side scaled to the size / {self.centre:g}, centre cropped{by}"
        sizes = {"none": "images not resized", "crop": crop, "stretch": f"both sides scaled to the size{by}"}
        resized = sizes.get(self.resize, "resizing unknown")
        mean, std = (", ".join(f"{each:.4f}" for each in values) for values in (self.mean, self.std))
        return f"{self.channels}, {resized}, pixels scaled to [0, 1], minus mean ({mean}), divided by std ({std})"
