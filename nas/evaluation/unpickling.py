"""Pickles of official files, read without running any code: whatever is no plain value, numpy number or array is refused.

The names that numpy's numbers and arrays have in a pickle stand for functions and classes of this module, which return plain
numbers and lists: numpy's own would take any state that a pickle gives them.

Source: the Python documentation of `pickle`, section "Restricting globals". The files of NAS-Bench-201, NATS-Bench and
TransNAS-Bench-101 were written by `torch.save` or `pickle.dump`. `torch.load(weights_only=True)` is not used: it refuses the
numpy numbers in them, and takes twenty times as long, which is half an hour.
"""

from __future__ import annotations

import bz2
import io
import os
import pickle
import re
import zipfile
import zlib
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, final

import numpy as np

from nas.records import RecordError, one_line

Progress = Callable[[float], object]
"""A function that is told the share, from 0 to 1, of a file that has been read."""

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
"""The first value in a file of `torch.save` before version 1.6; three values stand before the content."""

DAMAGED = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    MemoryError,
    RuntimeError,
)
"""The errors by which the libraries that read a file say that it is damaged, or is another file."""


@final
class WatchedFile(io.FileIO):
    """A file that tells, as it is read, which share of it has been."""

    def __init__(self, path: Path, progress: Progress) -> None:
        super().__init__(path)
        self.size = max(1, os.fstat(self.fileno()).st_size)
        self.progress = progress

    def readinto(self, buffer: Any) -> int | None:
        count = super().readinto(buffer)
        self.progress(self.tell() / self.size)
        return count

    def readall(self) -> bytes:
        content = super().readall()
        self.progress(1.0)
        return content


@contextmanager
def read_file(path: Path, what: str, progress: Progress) -> Iterator[IO[bytes]]:
    """Open a file to read `what`, such as "a TFRecord file". Raises RecordError, in one line, for all that is wrong with it."""
    if not path.is_file():
        raise RecordError(f"{path} is {'a folder' if path.is_dir() else 'no file'}: give {what}")
    try:
        with io.BufferedReader(WatchedFile(path, progress), 1 << 20) as file:
            yield file
    except DAMAGED as error:
        if isinstance(error, RecordError):
            raise
        reason = one_line(error)[:200] or type(error).__name__
        reason = f"it has no {reason}" if isinstance(error, KeyError) else reason
        raise RecordError(
            f"{path} cannot be read as {what} ({reason}): fetch it again, or give another format"
        ) from None


def unpickle(file: IO[bytes], path: Path) -> Any:
    """Return the content of a pickle. Raises RecordError, with the name, where it wants a function or a class to be called."""
    return _Restricted(file, path).load()


def unpickle_compressed(file: IO[bytes], path: Path) -> Any:
    """Return the content of a pickle in bz2."""
    with bz2.open(file) as inner:
        return _whole(inner, path)


def unpickle_torch(file: IO[bytes], path: Path) -> Any:
    """Return the content of a file of `torch.save` without tensors, in its older form or, since torch 1.6, as a zip."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as parts:
            names = [name for name in parts.namelist() if name.endswith("/data.pkl")]
            if len(names) != 1:
                raise ValueError("it is a zip that was not written by torch.save")
            with parts.open(names[0]) as inner:
                return _whole(inner, path)
    file.seek(0)
    if unpickle(file, path) != TORCH_MAGIC:
        raise ValueError("it was not written by torch.save")
    for _ in ("version of the protocol", "facts of the system"):
        unpickle(file, path)
    content = unpickle(file, path)
    if unpickle(file, path) != []:
        raise ValueError("it has tensors")
    return content


def _whole(file: IO[bytes], path: Path) -> Any:
    """Return the content of a pickle that is all of a compressed file, whose checksum is compared at its end."""
    content = unpickle(file, path)
    if file.read(1):
        raise ValueError("more follows its content")
    return content


def _latin1(text: str, encoding: str) -> bytes:
    """Return the bytes that an old pickle holds as a text."""
    if encoding != "latin1":
        raise ValueError(f"bytes in the encoding {encoding!r}")
    return text.encode(encoding)


@final
class _Type:
    """A type of numbers, as numpy.dtype."""

    def __init__(self, name: str, *_: object) -> None:
        if not re.fullmatch(r"[<>|=]?[biuf]\d{1,2}", name):
            raise ValueError(f"numpy values of the type {name!r}")
        self.type = np.dtype(name)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        """Set the byte order, which stands after the version."""
        self.type = self.type.newbyteorder(state[1])

    def values(self, raw: bytes, shape: tuple[int, ...], order: Literal["C", "F"]) -> Any:
        """Return bytes as nested lists of numbers or, for the shape (), as one."""
        return np.frombuffer(raw, self.type).reshape(shape, order=order).tolist()


@final
class _Array(list[Any]):
    """An array as nested lists, made as numpy's _reconstruct makes an empty one, which its state fills."""

    def __init__(self, *_: object) -> None:
        super().__init__()

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Type, bool, bytes]) -> None:
        _, shape, kind, by_column, raw = state
        self[:] = kind.values(raw, shape, "F" if by_column else "C")


def _scalar(kind: _Type, raw: bytes) -> Any:
    return kind.values(raw, (), "C")


def _array_of(raw: bytes, kind: _Type, shape: tuple[int, ...], order: Literal["C", "F"], *_: object) -> Any:
    return kind.values(raw, shape, order)


HARMLESS: dict[str, Any] = {
    **{f"builtins.{each.__name__}": each for each in (set, frozenset, list, dict)},
    "collections.OrderedDict": OrderedDict,
    "collections.defaultdict": defaultdict,
    "_codecs.encode": _latin1,
    "numpy.dtype": _Type,
    "numpy.ndarray": _Array,
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray._reconstruct": _Array for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _array_of for core in ("core", "_core")},
}
"""All that a pickle may name: containers, and the stand-ins for what restores numpy's numbers and arrays."""


@final
class _Restricted(pickle.Unpickler):
    """An unpickler that knows the names in HARMLESS alone."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        super().__init__(file)
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        wanted = f"{'builtins' if module == '__builtin__' else module}.{name}"
        if wanted not in HARMLESS:
            raise RecordError(
                f"{self.path} wants {wanted[:100]!r}: refused, nothing was run; fetch the file from its official source"
            )
        return HARMLESS[wanted]
