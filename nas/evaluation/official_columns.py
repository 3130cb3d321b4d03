"""Columns: numbers that a reader of an official file gathers row by row."""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Iterator
from math import nan
from typing import Any, final

import numpy as np

SEED = re.compile(r"(.+)_s\d+")
"""The name of a column that holds one training of several: the name of their mean, and the seed or the number."""


@final
class Columns:
    """Columns of numbers that grow value by value; what is not given is not a number (NaN)."""

    def __init__(self) -> None:
        self._arrays: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))

    def put(self, row: int, name: str, value: Any) -> None:
        """Put a number into a row of a column. Raises ValueError or TypeError where the value is none."""
        column = self._arrays[name]
        column.extend([nan] * (row + 1 - len(column)))
        column[row] = float(value)

    def finished(self, rows: int) -> dict[str, np.ndarray]:
        """Return the columns (rows,) by name, in the order of names, and for all columns NAME_sSEED also their mean, NAME."""
        held = {
            name: np.pad(column, (0, rows - len(column)), constant_values=nan) for name, column in self._arrays.items()
        }
        return dict(sorted((held | dict(_means(held))).items()))


def _means(columns: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the means over seeds by name; a row without any seed has NaN."""
    seeds = defaultdict(list)
    for name, column in columns.items():
        if found := SEED.fullmatch(name):
            seeds[found[1]].append(column)
    for name, parts in seeds.items():
        counts = sum(~np.isnan(part) for part in parts)
        with np.errstate(invalid="ignore"):
            yield name, sum(np.nan_to_num(part) for part in parts) / counts
