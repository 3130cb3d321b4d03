"""Identity: which images were found, so that a run can be held to those that it began with."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nas.records import Natural, record

THREADS = 8

AT_ONCE = 1000
"""How many files a thread asks for their sizes at once."""


@record
class DataIdentity:
    """Number of images in each part of a data set, as {"train": 50000, "test": 10000}, and a digest of all of them.

    Images in files are identified by their names below the data's folder and their sizes in bytes, and so are the same in
    a folder that was moved or copied; images in arrays by their pixels and labels. Neither depends on the libraries that
    decode.
    """

    images: Mapping[str, Natural]
    digest: str


def digest_of(parts: Iterable[Any]) -> str:
    """Return 16 hexadecimal digits for a sequence of bytes, or of contiguous arrays."""
    known = hashlib.sha256()
    for part in parts:
        known.update(part)
    return known.hexdigest()[:16]


def files_digest(files: Sequence[str], root: str) -> str:
    """Return the digest of files by their names below `root` and their sizes, whatever their order; content is not read."""
    parts = [files[i : i + AT_ONCE] for i in range(0, len(files), AT_ONCE)]
    with ThreadPoolExecutor(THREADS) as threads:
        sizes = [size for part in threads.map(_sizes, parts) for size in part]
    names = (file.removeprefix(f"{root}{os.sep}").replace(os.sep, "/") for file in files)
    listing = sorted(zip(names, sizes, strict=True))
    return digest_of(f"{name}\0{size}\n".encode(errors="surrogateescape") for name, size in listing)


def _sizes(files: Sequence[str]) -> list[int]:
    return [_size(file) for file in files]


def _size(file: str) -> int:
    """Return the size in bytes, -1 for a file that is gone."""
    try:
        return os.stat(file).st_size  # noqa: PTH116, called for a million files
    except OSError:
        return -1
