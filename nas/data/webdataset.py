"""Images in tar archives, many in each: the format of large data sets on storage that is slow with small files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from glob import glob, has_magic
from pathlib import Path
from typing import BinaryIO, final

import torch
from torch import Tensor

from nas.data.base import Data, Loaded
from nas.data.encoded import CENTRE, IMAGENET_MEAN, IMAGENET_STD, TOLERATED, Encoded, PerChannel, Source, class_names
from nas.data.first_look import loaded_encoded
from nas.data.identity import digest_of
from nas.data.leftovers import is_below_leftover
from nas.data.pixels import Bits, Pixels
from nas.places import FilePath
from nas.records import Fraction, Positive, RecordError, record

SUFFIXES = {"jpeg", "jpg", "png", "webp"}
BLOCK = 512
"""The size of a tar block in bytes; headers and files start at multiples of it."""

THREADS = 8
OPEN_FILES = 64

WINDOW = 4
"""The number of shards whose images are mixed: that many are open at a time, each read once to its end."""


@record
class WebDataset(Data):
    """Tar archives ("shards") in which the files of one image share a name, as 000123.jpg and 000123.cls.

    `train` and `test` are paths with a range of shards in braces, as "imagenet/train-{000000..000146}.tar", or with glob
    patterns. The file with suffix `label` holds the class number as text, the one with suffix jpg, jpeg, png or webp the
    image. `classes` names the classes, by default their numbers. The shards are indexed once. An epoch reads a few shards
    at a time, nearly sequentially: the order of shards is shuffled, and the images of neighbouring shards are mixed. The
    other fields are those of ImageFiles. Raises RecordError.
    """

    train: FilePath
    test: FilePath
    label: str = "cls"
    classes: tuple[str, ...] = ()
    size: Positive = 224
    centre: Fraction = CENTRE
    mean: PerChannel = IMAGENET_MEAN
    std: PerChannel = IMAGENET_STD
    tolerated: Fraction = TOLERATED
    channels: Positive = 3
    bits: Bits = 16

    def load(self) -> Loaded:
        train, test = self._read(self.train), self._read(self.test)
        classes = class_names(train.y, test.y, self.classes, self.train)
        return loaded_encoded((train, test), classes, self.mean, self.std, f"all in {self.test}")

    def _read(self, pattern: str) -> Encoded:
        paths = _shards(pattern)
        with ThreadPoolExecutor(THREADS) as threads:
            tables = list(threads.map(lambda path: _index(path, self.label), paths))
        offset, length, y = torch.cat(tables, 1)
        shard = torch.arange(len(paths)).repeat_interleave(torch.tensor([each.shape[1] for each in tables]))
        source = _Shards(tuple(paths), shard, offset, length)
        form = Pixels(self.channels, self.bits)
        return Encoded(source, torch.arange(len(y)), y, self.size, self.centre, self.tolerated, form)


def _shards(pattern: str) -> list[str]:
    """Return the files that a pattern matches. Raises RecordError if there are none, or one is missing."""
    named = list(_expanded(str(Path(pattern).expanduser())))
    paths = [path for each in named for path in (sorted(glob(each)) if has_magic(each) else [each])]  # noqa: PTH207, a star may stand anywhere
    missing = [path for path in paths if not Path(path).is_file()]
    if missing or not paths:
        first = f", the first {missing[0]}" if missing else ""
        what = f"{len(missing)} of {len(paths)} shards are missing{first}" if paths else "no shard matches"
        raise RecordError(f'{pattern}: {what}: give existing files, as "folder/train-{{000000..000146}}.tar"')
    return paths


def _expanded(pattern: str) -> Iterator[str]:
    """Yield the paths that ranges in braces expand to, with numbers zero-padded like the first."""
    if not (found := re.search(r"\{(\d+)\.\.(\d+)\}", pattern)):
        yield pattern
        return
    first, last = found.groups()
    for number in range(int(first), int(last) + 1):
        yield from _expanded(f"{pattern[: found.start()]}{number:0{len(first)}}{pattern[found.end() :]}")


def _index(path: str, label: str) -> Tensor:
    """Return offset, length and label of the images in a shard, int64 (3, N).

    Raises RecordError where an image has no label.
    """
    images, labels = dict[str, tuple[int, int]](), dict[str, int]()
    with Path(path).open("rb", buffering=0) as file:
        for name, offset, length in _members(file):
            if is_below_leftover(name):
                continue
            folder, _, base = name.rpartition("/")
            stem, _, suffix = base.partition(".")
            if suffix.lower() in SUFFIXES:
                images[f"{folder}/{stem}"] = offset, length
            elif suffix == label:
                labels[f"{folder}/{stem}"] = _label(os.pread(file.fileno(), length, offset), name, path)
    if unlabelled := [key for key in images if key not in labels]:
        raise RecordError(
            f"{path} has {len(unlabelled)} of {len(images)} images without a label, the first {unlabelled[0].lstrip('/')}: "
            f"give each a member of suffix {label!r}, or another `label`"
        )
    return torch.tensor([(*where, labels[key]) for key, where in images.items()], dtype=torch.int64).view(-1, 3).T


def _label(text: bytes, name: str, path: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise RecordError(f"{name} in {path} holds {text[:20]!r}: give the number of a class, from 0") from None


# A header has the name at 0, the size in octal digits at 124, the kind at 156, "ustar" at 257, and at 345 the folder of a
# long name. GNU's headers, "ustar " with a space, have other fields at 345.
def _members(file: BinaryIO) -> Iterator[tuple[str, int, int]]:
    """Yield name, offset and length of each file in a tar archive; five times as fast as the standard library's reader."""
    place, long_name, end = 0, "", os.fstat(file.fileno()).st_size
    while len(header := os.pread(file.fileno(), BLOCK, place)) == BLOCK and header[0]:
        length, kind, place = _length(header, file.name), header[156:157], place + BLOCK
        if place + length > end:
            raise RecordError(f"{file.name} is truncated at {end} bytes: copy or download it again")
        if kind == b"L":  # GNU's long name of the next member
            long_name = _text(os.pread(file.fileno(), length, place))
        elif kind == b"x":  # POSIX's further fields of the next member
            further = re.search(rb"\d+ path=([^\n]*)\n", os.pread(file.fileno(), length, place))
            long_name = _text(further[1]) if further else ""
        elif kind in b"0\0":
            yield long_name or _name(header), place, length
            long_name = ""
        elif kind != b"g":  # a folder or a link, which used up the long name
            long_name = ""
        place += -(-length // BLOCK) * BLOCK


def _length(header: bytes, path: str) -> int:
    try:
        if header[257:262] == b"ustar":
            return int(header[124:136].strip(b"\0 ") or b"0", 8)
    except ValueError:
        pass
    raise RecordError(f"{path} is not a tar archive, or is broken: give uncompressed tar archives")


def _name(header: bytes) -> str:
    folder = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{folder}/{_text(header[:100])}".lstrip("/")


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Shards(Source):
    """Files in tar archives: the shard of each image, and its offset and length there, int64 (N,) each."""

    paths: tuple[str, ...]
    shard: Tensor
    offset: Tensor
    length: Tensor

    def read(self, number: int) -> bytes:
        file = _opened(self.paths[self.shard[number]])
        return os.pread(file.fileno(), int(self.length[number]), int(self.offset[number]))

    def name(self, number: int) -> str:
        path, offset = self.paths[self.shard[number]], int(self.offset[number])
        with Path(path).open("rb") as file:
            header = os.pread(file.fileno(), BLOCK, offset - BLOCK)
        return f"{_name(header)} in {path}"

    def digest(self, numbers: Tensor) -> str:
        """Return a digest of the shards' file names, and of the shard, offset and length of each image."""
        shards = "\n".join(Path(path).name for path in self.paths)
        places = (each[numbers].numpy() for each in (self.shard, self.offset, self.length))
        return digest_of([shards.encode(errors="surrogateescape"), *places])

    def order(self, numbers: Tensor, generator: torch.Generator) -> Tensor:
        """Return a random order that passes through the shards in random order and mixes the images of a few at a time."""
        # sort by the shard's turn plus noise of up to WINDOW turns: an image is read at most WINDOW turns late
        turn = torch.randperm(len(self.paths), generator=generator)[self.shard[numbers]]
        late = torch.rand(len(numbers), generator=generator, dtype=torch.float64) * min(WINDOW, len(self.paths))
        return (turn + late).argsort()


@lru_cache(maxsize=OPEN_FILES)
def _opened(path: str) -> BinaryIO:
    """Return a shard, open; `os.pread` does not move the file position, so processes may share it."""
    return Path(path).open("rb", buffering=0)
