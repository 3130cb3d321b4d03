"""Any folder of images, with one subfolder per class."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch

from nas.data.base import Data, Images, Loaded, channel_statistics
from nas.data.decode import fit
from nas.data.encoded import TOLERATED, Encoded, tolerated_images
from nas.data.first_look import warn_if_black
from nas.data.identity import files_digest
from nas.data.layout import Files, Listing, list_images
from nas.data.pixels import Bits, Pixels, Undecodable
from nas.data.shares import hold_out
from nas.places import FilePath
from nas.records import Fraction, Natural, Positive, RecordError, record

THREADS = 8

T = TypeVar("T", Images, Encoded)


@record
class ImageFolder(Data):
    """A folder of images with a subfolder for each class, all held in memory as (channels, size, size).

    An image is decoded and turned upright, its shorter side is scaled to `size`, and its centre is cropped. If the folder
    has `train` and also `test`, `val` or `validation`, or similar names, the classes are in those. The test set is then
    the first of the three that exists, and the images of the others join the training images. Otherwise a stratified
    fraction `test`, drawn with `seed`, is held out; 1 makes all images test images. `channels` is 3 for RGB, 1 for grey,
    or the number of channels of .npy or TIFF files; `bits` is the depth of the samples in 16-bit files. An image that
    cannot be decoded is skipped with a warning; if more than 1 % and more than three are broken, that is an error. Raises
    RecordError.
    """

    path: FilePath
    size: Positive = 32
    test: Fraction = 0.2
    seed: Natural = 0
    channels: Positive = 3
    bits: Bits = 16

    def load(self) -> Loaded:
        root = Path(self.path).expanduser()
        listing = list_images(root)
        train, test, source = shared_out(listing, self._read, self.test, self.seed)
        statistics = channel_statistics((train if len(train) else test).x)
        digest = files_digest(listing.all_files(), str(root))
        return Loaded(train, test, listing.classes, *statistics, digest, source)

    def as_test(self) -> ImageFolder:
        return replace(self, test=1.0)

    def _read(self, files: Files) -> Images:
        form = Pixels(self.channels, self.bits)
        # Threads suffice: Pillow releases the interpreter's lock while it decodes.
        with ThreadPoolExecutor(THREADS) as threads:
            decoded = list(threads.map(lambda file: _decode(file, self.size, form), files.files))
        _report(list(zip(files.files, decoded, strict=True)), self.path)
        x = torch.stack([image for image in decoded if isinstance(image, torch.Tensor)])
        y = [label for label, image in zip(files.labels, decoded, strict=True) if isinstance(image, torch.Tensor)]
        warn_if_black(int(x.max()), Path(files.files[0]).read_bytes(), files.files[0])
        return Images(x, torch.tensor(y))


def shared_out(listing: Listing, read: Callable[[Files], T], test: float, seed: int) -> tuple[T, T, str]:
    """Return the training images and the test images of a listing, and in words which images the test images are.

    Where no folder holds test images, a stratified fraction `test`, drawn with `seed`, is held out; 1 makes all of them
    test images. Raises RecordError if there are too few images.
    """
    train: T = read(listing.train)
    if listing.test is not None:
        return train, read(listing.test), listing.test.source
    if test == 1:
        return train.at(slice(0)), train, "all in the folder"
    rest, held = held_out(train, test, seed)
    return rest, held, f"{test:.0%} of the {len(train):,} in the folder, drawn with seed {seed}"


def held_out(images: T, test: float, seed: int) -> tuple[T, T]:
    """Return training and test images: a stratified fraction `test`, drawn with `seed`, is held out.

    Raises RecordError if there are too few images.
    """
    count = round(test * len(images))
    if not 0 < count < len(images):
        raise RecordError(f"the test set has {count} of {len(images)} images: give more images or another `test`")
    held, rest = hold_out(images.y, count, seed)
    return images.at(rest), images.at(held)


def _decode(file: str, size: int, form: Pixels) -> torch.Tensor | Undecodable:
    """Return one image as uint8 (channels, size, size), or the reason why it is broken."""
    try:
        return fit(Path(file).read_bytes(), size, form)
    except Undecodable as error:
        return error
    except OSError as error:
        return Undecodable(str(error.strerror))


def _report(decoded: Sequence[tuple[str, object]], folder: str) -> None:
    """Warn of broken images. Raises RecordError if more are broken than tolerated."""
    broken = [(file, reason) for file, reason in decoded if isinstance(reason, Undecodable)]
    if not broken:
        return
    named = ", ".join(file for file, _ in broken[:10]) + (", ..." if len(broken) > 10 else "")
    message = f"{len(broken)} of {len(decoded)} images in {folder} cannot be decoded: {named} ({broken[0][1]})"
    if len(broken) == len(decoded) or len(broken) > tolerated_images(len(decoded), TOLERATED):
        raise RecordError(f"{message}: repair or remove them (tolerated are {100 * TOLERATED:g} %, and always three)")
    warnings.warn(f"{message}; they are skipped", stacklevel=2)
