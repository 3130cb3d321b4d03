"""Rows of NAS-Bench-101: a cell by its graph, and its trainings, in the several files that hold them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

from nas.evaluation.official_columns import Columns
from nas.evaluation.table_file import TableFile

SHORT = {"conv3x3-bn-relu": "conv3x3", "conv1x1-bn-relu": "conv1x1", "maxpool3x3": "maxpool3x3"}
"""The operations in texts of cells."""

SCORES = {"train": "c10_train", "validation": "c10_valid", "test": "c10_test"}
"""The names of the accuracies of a training."""


def cell_text(matrix: Sequence[Sequence[Any]], operations: Sequence[str]) -> str:
    """Return a cell as text: the upper triangle of its matrix row by row, and the operations of its inner vertices.

    An input, a convolution and an output, all connected, are `111:conv3x3`. Raises ValueError for what is no such cell.
    """
    size = len(operations)
    if (
        len(matrix) != size
        or any(len(row) != size for row in matrix)
        or operations[0] != "input"
        or operations[-1] != "output"
    ):
        raise ValueError(
            f"a cell of {len(matrix)} vertices with the operations {', '.join(map(str, operations))[:100]}"
        )
    bits = "".join(str(int(matrix[i][j])) for i in range(size) for j in range(i + 1, size))
    return f"{bits}:{','.join(SHORT[each] for each in operations[1:-1])}"


@final
class CellRows:
    """The cells of a file by their official hash, and the numbers of their trainings."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._texts: list[str] = []
        self._columns = Columns()
        self._trainings: Counter[tuple[int, int]] = Counter()

    def row(self, module_hash: str, matrix: Sequence[Sequence[Any]], operations: Sequence[str], params: int) -> int:
        """Return the row of a cell, which is a new one where the cell is."""
        row = self._rows.setdefault(module_hash, len(self._rows))
        if row == len(self._texts):
            self._texts.append(cell_text(matrix, operations))
            self._columns.put(row, "params", params)
        return row

    def put_training(self, row: int, epochs: int, accuracies: dict[str, float], seconds: float) -> None:
        """Put one more training of a cell, with its accuracies as shares: "train", "validation" and "test"."""
        suffix = f"{epochs}_s{self._trainings[row, epochs]}"
        self._trainings[row, epochs] += 1
        self._put(row, suffix, accuracies, seconds)

    def put_mean(self, row: int, epochs: int, accuracies: dict[str, float], seconds: float) -> None:
        """Put the mean over the trainings of a cell, where these are not known."""
        self._put(row, str(epochs), accuracies, seconds)

    def _put(self, row: int, suffix: str, accuracies: dict[str, float], seconds: float) -> None:
        for part, name in SCORES.items():
            self._columns.put(row, f"{name}{suffix}", 100 * accuracies[part])
        self._columns.put(row, f"seconds{suffix}", seconds)

    def table(self, path: Path) -> TableFile:
        """Return the rows as a table, with the official hash of each cell. Raises ValueError where there is none."""
        if not self._texts:
            raise ValueError("it has no cells")
        columns = self._columns.finished(len(self._texts))
        return TableFile(path, {"architecture": self._texts, "module_hash": list(self._rows), **columns})
