"""Any folder of images, one subfolder a class."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from nas.data.base import Data, Images, Loaded, channel_statistics, optional, stratified_order
from nas.data.encoded import Encoded
from nas.data.identity import files_digest
from nas.records import Fraction, Natural, Positive, RecordError, record

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
TOLERATED_FRACTION = 0.01
THREADS = 8

T = TypeVar("T", Images, Encoded)


@record
class ImageFolder(Data):
    """Reads a folder of images, a subfolder for each class, all held in memory as (3, size, size).

    An image is decoded to RGB, turned upright, its shorter side scaled to `size` and its centre cut out. Where the
    folder has `train` and also `test`, `val` or `validation`, those hold the classes: the test set is the first of the
    three that is there, and the images of the others join the training images. Else a stratified fraction `test`,
    drawn with `seed`, is held out. An image that cannot be decoded is skipped with a warning; more than 1 % of such is
    an error. Raises RecordError.
    """

    path: str
    size: Positive = 32
    test: Fraction = 0.2
    seed: Natural = 0

    def load(self) -> Loaded:
        root = Path(self.path).expanduser()
        train_folders, test_folder = layout(root)
        classes, files, labels = listed(train_folders, None)
        train = self._read(files, labels, train_folders[0])
        if test_folder is not None:
            _, test_files, labels = listed([test_folder], classes)
            test = self._read(test_files, labels, test_folder)
            files = [*files, *test_files]
        else:
            train, test = held_out(train, self.test, self.seed)
        return Loaded(train, test, classes, *channel_statistics(train.x), files_digest(files, str(root)))

    def _read(self, files: Sequence[str], labels: Sequence[int], folder: Path) -> Images:
        with ThreadPoolExecutor(THREADS) as threads:
            decoded = list(threads.map(lambda file: _decode(file, self.size), files))
        _report([file for file, image in zip(files, decoded, strict=True) if image is None], len(files), folder)
        x = torch.stack([image for image in decoded if image is not None])
        y = [label for label, image in zip(labels, decoded, strict=True) if image is not None]
        return Images(x, torch.tensor(y))


def held_out(images: T, test: float, seed: int) -> tuple[T, T]:
    """Return training and test images: a stratified fraction `test`, drawn with `seed`; RecordError if there are too few."""
    order, count = stratified_order(images.y, seed), round(test * len(images))
    if not 0 < count < len(images):
        raise RecordError(f"a test set of {count} of {len(images)} images: give more images or another `test`")
    return images.at(order[count:]), images.at(order[:count])


def layout(root: Path) -> tuple[list[Path], Path | None]:
    """Return the folders to train with, and the one to test with if the folder names one; RecordError if it is absent."""
    if not root.is_dir():
        raise RecordError(f"folder {root} does not exist: give a folder with a subfolder of images for each class")
    held_out = [root / name for name in ("test", "val", "validation") if (root / name).is_dir()]
    if (root / "train").is_dir() and held_out:
        return [root / "train", *held_out[1:]], held_out[0]
    return [root], None


def listed(folders: Sequence[Path], expected: tuple[str, ...] | None) -> tuple[tuple[str, ...], list[str], list[int]]:
    """Return the classes, each image's file, and its label; a file is known by its suffix, and not looked at.

    Raises RecordError if a folder has not the expected classes, which are by default those of the first.
    """
    files, labels = list[str](), list[int]()
    for folder in folders:
        found = _classes(folder)
        expected = expected or tuple(found)
        if tuple(found) != expected:
            raise RecordError(
                f"folder {folder} has the classes {tuple(found)}, and the training images {expected}: make them equal"
            )
        for label, of_class in enumerate(found.values()):
            files += of_class
            labels += [label] * len(of_class)
    return expected or (), files, labels


def _classes(folder: Path) -> dict[str, list[str]]:
    """Return the files of each subfolder that holds an image, sorted."""
    with os.scandir(folder) as entries:
        names = sorted(each.name for each in entries if each.is_dir() and not each.name.startswith("."))
    with ThreadPoolExecutor(THREADS) as threads:
        files = dict(zip(names, threads.map(lambda name: _files(folder / name), names), strict=True))
    classes = {name: each for name, each in files.items() if each}
    if len(classes) > 1:
        return classes
    found = f"one class, {next(iter(classes))!r}" if classes else "no images in subfolders"
    raise RecordError(
        f"folder {folder} has {found}: give a folder with a subfolder of images for each of at least two classes"
    )


def _files(folder: Path) -> list[str]:
    """Return the images in a folder and those below it; a file is not looked at, which a million would take minutes for."""
    found = [os.path.join(inner, name) for inner, _, names in os.walk(folder) for name in names if _is_image(name)]  # noqa: PTH118, ten times as fast
    return sorted(found, key=lambda path: path.replace(os.sep, "\0"))


def _is_image(name: str) -> bool:
    return name[name.rfind(".") :].lower() in SUFFIXES


def _decode(file: str, size: int) -> torch.Tensor | None:
    """Return one image as uint8 (3, size, size), or None where it is broken."""
    pillow, operations = optional("PIL.Image", "Pillow"), optional("PIL.ImageOps", "Pillow")
    try:
        with pillow.open(file) as image:
            image.draft("RGB", (size, size))  # a JPEG is decoded at the nearest larger eighth of its size
            upright: Any = operations.exif_transpose(image).convert("RGB")
        pixels = np.array(operations.fit(upright, (size, size), pillow.Resampling.BICUBIC))
    except (OSError, SyntaxError, ValueError, pillow.DecompressionBombError):
        return None
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def _report(broken: list[str], images: int, folder: Path) -> None:
    if not broken:
        return
    named = ", ".join(broken[:10]) + (", ..." if len(broken) > 10 else "")
    message = f"{len(broken)} of {images} images in {folder} cannot be decoded: {named}"
    if len(broken) > TOLERATED_FRACTION * images:
        raise RecordError(f"{message}: repair or remove them (1 % is tolerated)")
    warnings.warn(f"{message}; they are skipped", stacklevel=2)
