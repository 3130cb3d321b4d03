"""Identity: which images were found, so that a resumed run can be checked to use the same ones."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nas.records import Natural, record

THREADS = 8

AT_ONCE = 1000
"""The number of files whose sizes a thread reads per task."""


@record
class DataIdentity:
    """Number of images in each part of a data set, as {"train": 50000, "test": 10000}, and a digest of all of them.

    Images in files are identified by their names below the data's folder and their sizes in bytes, so a moved or copied
    folder is the same. Images in arrays are identified by their pixels and labels. Neither depends on the decoding
    libraries.
    """

    images: Mapping[str, Natural]
    digest: str


def digest_of(parts: Iterable[Any]) -> str:
    """Return 16 hexadecimal digits for a sequence of bytes or of contiguous arrays."""
    known = hashlib.sha256()
    for part in parts:
        known.update(part)
    return known.hexdigest()[:16]


def files_digest(files: Sequence[str], root: str) -> str:
    """Return a digest of files by their names below `root` and their sizes, independent of their order; contents are not read."""
    parts = [files[i : i + AT_ONCE] for i in range(0, len(files), AT_ONCE)]
    with ThreadPoolExecutor(THREADS) as threads:
        sizes = [size for part in threads.map(_sizes, parts) for size in part]
    names = (file.removeprefix(f"{root}{os.sep}").replace(os.sep, "/") for file in files)
    listing = sorted(zip(names, sizes, strict=True))
    return digest_of(f"{name}\0{size}\n".encode(errors="surrogateescape") for name, size in listing)


def _sizes(files: Sequence[str]) -> list[int]:
    return [_size(file) for file in files]


def _size(file: str) -> int:
    """Return the size in bytes, -1 for a missing file."""
    try:
        return os.stat(file).st_size  # noqa: PTH116, called for a million files
    except OSError:
        return -1
