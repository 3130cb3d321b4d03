"""A folder of images that are read when needed, with one subfolder per class, such as the unpacked ImageNet."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.base import Data, Loaded
from nas.data.encoded import CENTRE, IMAGENET_MEAN, IMAGENET_STD, TOLERATED, Encoded, PerChannel, Source
from nas.data.first_look import loaded_encoded
from nas.data.folder import shared_out
from nas.data.identity import files_digest
from nas.data.layout import Files, list_images
from nas.data.pixels import Bits, Pixels
from nas.places import FilePath
from nas.preprocessing import Interpolation
from nas.records import Fraction, Natural, Positive, record


@record
class ImageFiles(Data):
    """A folder of images of any number and size, a subfolder for each class, read when needed.

    The folder has the layout of ImageFolder: `train` and also `test`, `val` or `validation`, or classes of which a
    stratified fraction `test`, drawn with `seed`, is held out. Images are (channels, size, size), normalised with `mean`
    and `std`: by default ImageNet's, or measured where `channels` is not 3. `centre` is the side of the central test crop
    as a share of the shorter side, and `interpolation` is how crops are scaled; `channels` and `bits` are those of
    ImageFolder. An image that cannot be decoded is named in a warning; if more than the share `tolerated` and more than
    three are broken, that is an error in training. Raises RecordError.
    """

    path: FilePath
    size: Positive = 224
    centre: Fraction = CENTRE
    test: Fraction = 0.2
    seed: Natural = 0
    mean: PerChannel = IMAGENET_MEAN
    std: PerChannel = IMAGENET_STD
    tolerated: Fraction = TOLERATED
    channels: Positive = 3
    bits: Bits = 16
    interpolation: Interpolation = "bilinear"

    def load(self) -> Loaded:
        listing = list_images(Path(self.path).expanduser())
        train, test, source = shared_out(listing, self._read, self.test, self.seed)
        return loaded_encoded((train, test), listing.classes, self.mean, self.std, source)

    def as_test(self) -> ImageFiles:
        return replace(self, test=1.0)

    def _read(self, files: Files) -> Encoded:
        source = _Files(np.array([os.fsencode(file) for file in files.files]), str(Path(self.path).expanduser()))
        y, form = torch.tensor(files.labels), Pixels(self.channels, self.bits)
        return Encoded(
            source, torch.arange(len(y)), y, self.size, self.centre, self.tolerated, form, self.interpolation
        )


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Files(Source):
    """The files of a folder; their paths are one block of bytes, which workers share, unlike a million strings."""

    paths: NDArray[Any]
    root: str

    def read(self, number: int) -> bytes:
        return Path(self.name(number)).read_bytes()

    def name(self, number: int) -> str:
        return os.fsdecode(self.paths[number])

    def digest(self, numbers: Tensor) -> str:
        """Return a digest of the names below the root and of the files' sizes."""
        return files_digest([self.name(number) for number in numbers.tolist()], self.root)
