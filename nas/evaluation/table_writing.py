"""Tables written to files, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nas.data.libraries import optional
from nas.evaluation.table_file import OPS, TableFile
from nas.files import write_atomically
from nas.records import RecordError

SUFFIXES = (".npz", ".parquet", ".csv")


def check_destination(path: Path, force: bool) -> None:
    """Raise RecordError where a table cannot be written to `path`: before it is read, which may take long."""
    if path.suffix not in SUFFIXES:
        raise RecordError(f"{path} is no name for a table: give one that ends in {', '.join(SUFFIXES)}")
    if path.is_dir():
        raise RecordError(f"{path} is a folder: give a file, as {path / 'table.npz'}")
    if path.exists() and not force:
        raise RecordError(f"{path} exists: give another name, or --force to replace it")
    if path.suffix != ".npz":
        optional("pandas", "pandas")
    if path.suffix == ".parquet":
        optional("pyarrow", "pyarrow")


def write_table(table: TableFile, path: Path) -> None:
    """Write a table; an .npz has the array `ops` too, where the table has it."""
    write_atomically(path, lambda temporary: _write(table, temporary, path.suffix))


def _write(table: TableFile, path: Path, suffix: str) -> None:
    with path.open("wb") as file:
        if suffix == ".npz":
            arrays: dict[str, Any] = {name: np.asarray(column) for name, column in table.columns.items()}
            if table.ops is not None:
                arrays[OPS] = np.asarray(table.ops, np.uint8)
            np.savez_compressed(file, **arrays)
            return
        frame = optional("pandas", "pandas").DataFrame(dict(table.columns))
        if suffix == ".parquet":
            frame.to_parquet(file, index=False)
        else:
            frame.to_csv(file, index=False)
