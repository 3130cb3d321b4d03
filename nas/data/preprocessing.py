"""The preprocessing of each data set, and the data set that applies a given preprocessing to a folder."""

from __future__ import annotations

from dataclasses import replace

from nas.data.base import Data
from nas.data.folder import ImageFolder
from nas.data.image_files import ImageFiles
from nas.data.resized import Resized
from nas.data.split import Split
from nas.preprocessing import Interpolation, Preprocessing, Resize


def preprocessing_of(images: Split) -> Preprocessing:
    """Return the preprocessing that turns the images of a split into inputs."""
    channels = {1: "gray", 3: "RGB"}.get(images.shape[0], f"{images.shape[0]} channels")
    resize, centre, interpolation = _resizing(images.data)
    return Preprocessing(images.mean, images.std, channels, resize, centre, interpolation)


def _resizing(data: Data) -> tuple[Resize, float, Interpolation | None]:
    if isinstance(data, Resized):
        return "stretch", 1.0, "bilinear"
    if not type(data).__module__.startswith("nas.data."):
        return "unknown", 1.0, None
    if (centre := getattr(data, "centre", None)) is not None:
        return "crop", centre, getattr(data, "interpolation", "bilinear")
    return ("crop", 1.0, "bicubic") if isinstance(data, ImageFolder) else ("none", 1.0, None)


def folder_read_alike(path: str, preprocessing: Preprocessing | None) -> Data:
    """Return the images of a folder, decoded, cropped and scaled like those that a network was trained with."""
    if preprocessing is None or preprocessing.interpolation is None or preprocessing.resize != "crop":
        return ImageFolder(path)
    if preprocessing.interpolation == "bicubic" and preprocessing.centre == 1:
        return ImageFolder(path)
    read = ImageFiles(path, centre=preprocessing.centre, interpolation=preprocessing.interpolation)
    return replace(read, mean=preprocessing.mean, std=preprocessing.std) if len(preprocessing.mean) == 3 else read
