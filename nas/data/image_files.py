"""A folder of images that are read when they are needed, one subfolder a class: ImageNet as it is unpacked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.base import Data, Loaded
from nas.data.encoded import CENTRE, IMAGENET_MEAN, IMAGENET_STD, TOLERATED, Encoded, Rgb, Source
from nas.data.folder import held_out, layout, listed
from nas.data.identity import files_digest
from nas.records import Fraction, Natural, Positive, record


@record
class ImageFiles(Data):
    """Reads a folder of images of any number and size, a subfolder for each class, when they are needed.

    The folder has the layout of ImageFolder: `train` and also `test`, `val` or `validation`, or classes of which a
    stratified fraction `test`, drawn with `seed`, is held out. Images are (3, size, size), normalised with `mean` and
    `std`, ImageNet's by default; `centre` is the side of the central crop that is tested on as a share of the shorter
    side. An image that cannot be decoded is named in a warning; more than the share `tolerated` of such is an error.
    Raises RecordError.
    """

    path: str
    size: Positive = 224
    centre: Fraction = CENTRE
    test: Fraction = 0.2
    seed: Natural = 0
    mean: Rgb = IMAGENET_MEAN
    std: Rgb = IMAGENET_STD
    tolerated: Fraction = TOLERATED

    def load(self) -> Loaded:
        root = Path(self.path).expanduser()
        train_folders, test_folder = layout(root)
        classes, train = self._list(train_folders)
        if test_folder is not None:
            test = self._list([test_folder], classes)[1]
        else:
            train, test = held_out(train, self.test, self.seed)
        return Loaded(train, test, classes, self.mean, self.std)

    def _list(
        self, folders: Sequence[Path], expected: tuple[str, ...] | None = None
    ) -> tuple[tuple[str, ...], Encoded]:
        classes, files, labels = listed(folders, expected)
        source = _Files(np.array([os.fsencode(file) for file in files]), str(Path(self.path).expanduser()))
        y = torch.tensor(labels)
        return classes, Encoded(source, torch.arange(len(y)), y, self.size, self.centre, self.tolerated)


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Files(Source):
    """Reads files; their paths are one block of bytes, which workers share, as they would not share a million texts."""

    paths: NDArray[Any]
    root: str

    def read(self, number: int) -> bytes:
        return Path(self.name(number)).read_bytes()

    def name(self, number: int) -> str:
        return os.fsdecode(self.paths[number])

    def digest(self, numbers: Tensor) -> str:
        """Return the digest of the names below the root, and of the files' sizes."""
        return files_digest([self.name(number) for number in numbers.tolist()], self.root)
