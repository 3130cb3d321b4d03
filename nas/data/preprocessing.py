"""Preprocessing: how an image file becomes the input of a network, as weights carry it with them."""

from __future__ import annotations

from dataclasses import fields
from typing import Literal

from nas.data.base import Data
from nas.data.folder import ImageFolder
from nas.data.image_files import ImageFiles
from nas.data.resized import Resized
from nas.data.split import Split
from nas.records import Fraction, record

Resize = Literal["none", "crop", "stretch", "unknown"]


@record
class Preprocessing:
    """How an image becomes an input: pixels from 0 to 1, less `mean`, over `std`, one number for each channel.

    `channels` is their order: RGB, or gray. `resize` "crop" scales the shorter side to the size over `centre` and cuts out
    the centre, "stretch" scales both sides to the size, "none" takes images as they are; "unknown" is that of a data class of
    the user's own, or of weights from version 0.1.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: str = "RGB"
    resize: Resize = "unknown"
    centre: Fraction = 1.0
    interpolation: Literal["bicubic", "bilinear"] | None = None

    def describe(self) -> str:
        """Write it as short text, for people who use the weights elsewhere."""
        by = f", {self.interpolation}" if self.interpolation else ""
        crop = f"shorter side scaled to the size / {self.centre:g}, centre cut out{by}"
        sizes = {"none": "images as they are", "crop": crop, "stretch": f"both sides scaled to the size{by}"}
        resized = sizes.get(self.resize, "size rule unknown")
        mean, std = (", ".join(f"{each:.4f}" for each in values) for values in (self.mean, self.std))
        return f"{self.channels}, {resized}, pixels from 0 to 1, less the mean ({mean}), over the deviation ({std})"


def preprocessing_of(images: Split) -> Preprocessing:
    """Return how the images of a split are made into inputs."""
    channels = {1: "gray", 3: "RGB"}.get(images.shape[0], f"{images.shape[0]} channels")
    resize, centre, interpolation = _resizing(images.data)
    return Preprocessing(images.mean, images.std, channels, resize, centre, interpolation)


def _resizing(data: Data) -> tuple[Resize, float, Literal["bicubic", "bilinear"] | None]:
    if isinstance(data, Resized):
        return "stretch", 1.0, "bilinear"
    if not type(data).__module__.startswith("nas.data."):
        return "unknown", 1.0, None
    if (centre := getattr(data, "centre", None)) is not None:
        return "crop", centre, "bilinear"
    return ("crop", 1.0, "bicubic") if isinstance(data, ImageFolder) else ("none", 1.0, None)


def folder_read_alike(path: str, preprocessing: Preprocessing | None) -> Data:
    """Return the images of a folder, decoded, cut and scaled as those that a network was trained with."""
    if preprocessing is None or preprocessing.interpolation != "bilinear" or preprocessing.resize != "crop":
        return ImageFolder(path)
    rgb = {"mean": preprocessing.mean, "std": preprocessing.std} if len(preprocessing.mean) == 3 else {}
    known = {each.name for each in fields(ImageFiles)}
    options = {"centre": preprocessing.centre, **{key: value for key, value in rgb.items() if key in known}}
    return ImageFiles(path, **options)  # type: ignore[arg-type]
