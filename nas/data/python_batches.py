"""The published Python form of CIFAR, read without letting the file run code.

The files are pickles, and a pickle may call anything that its reader can import. This reader imports nothing: the three
NumPy names in such a file map to the stand-ins defined here, and any other name is refused.
"""

from __future__ import annotations

import pickle
from io import BytesIO
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from nas.records import RecordError


class _Type:
    """A stand-in for numpy.dtype."""

    def __init__(self, name: str | bytes = b"", *_: object) -> None:
        self.name = name if isinstance(name, bytes) else name.encode()

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and alignment, which a byte does not have."""


class _Array:
    """A stand-in for numpy.ndarray; accepts bytes only."""

    def __init__(self, *_: object) -> None:
        self.values: NDArray[np.uint8] = np.empty(0, np.uint8)

    def __setstate__(self, state: tuple[object, tuple[int, ...], _Type, bool, bytes]) -> None:
        # NumPy's own order: version, shape, type, whether columns come first in memory, and the bytes.
        _, shape, kind, by_column, raw = state
        if kind.name != b"u1" or by_column or not isinstance(raw, bytes):
            raise pickle.UnpicklingError("an array that is not of bytes in row-major order")
        self.values = np.frombuffer(raw, np.uint8).reshape(shape).copy()


_STAND_INS: dict[tuple[str, str], type] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
}


class _Reader(pickle.Unpickler):
    """An unpickler that knows the stand-ins only."""

    def find_class(self, module: str, name: str) -> type:
        if (module, name) in _STAND_INS:
            return _STAND_INS[module, name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no batch needs")

    def persistent_load(self, pid: object) -> NoReturn:
        raise pickle.UnpicklingError("it refers to something outside the file")


def read_python_batch(data: bytes, label: bytes, name: str) -> tuple[NDArray[np.uint8], list[int]]:
    """Return the pixels, (N, 3072), and the labels under the key `label` of one batch file, called `name` in errors.

    Raises RecordError where the file is truncated, or holds anything but containers, numbers, strings and arrays of
    bytes.
    """
    try:
        batch: Any = _Reader(BytesIO(data), encoding="bytes").load()
        return batch[b"data"].values, [int(each) for each in batch[label]]
    except (
        pickle.UnpicklingError,
        EOFError,
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as error:
        raise RecordError(f"{name} is not a batch of CIFAR, or is truncated: {error}; download it again") from error
