"""Files of tables: NPZ, CSV or Parquet, with one row an architecture."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import file_digest
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nas.data.identity import DataIdentity
from nas.data.libraries import optional
from nas.family import Family, family
from nas.records import RecordError, digest, nearest
from nas.space import choices, decisions, resolve

RowKey = Literal["decisions", "digits", "text", "digest"]
"""How a table names the architecture of a row: by decisions, by their digits in one text, by its text, or by its digest."""

Column = Sequence[Any] | NDArray[Any]
"""The values of a column, one a row."""

OPS = "ops"
"""The array (N, decisions) of an .npz that names the rows by their decisions."""


@dataclass(frozen=True, slots=True, eq=False)
class TableFile:
    """The columns of a table, and the decisions of its rows where it has the array `ops`."""

    path: Path
    columns: Mapping[str, Column]
    ops: Sequence[Sequence[int]] | None = None

    def column(self, name: str) -> Column:
        """Return a column by its name. Raises RecordError, with the nearest name, where there is none."""
        if name not in self.columns:
            raise RecordError(f"table {self.path} has no column {name!r}: {nearest(name, self.columns)}")
        return self.columns[name]

    def value(self, name: str, row: int) -> float:
        """Return the number in a column and a row. Raises RecordError where it is none."""
        value = self.column(name)[row]
        try:
            return float(value)
        except (TypeError, ValueError):
            raise RecordError(f"table {self.path} has {value!r} in row {row} of column {name}: give a number") from None

    def identity(self) -> DataIdentity:
        """Return the identity of the file."""
        with self.path.open("rb") as file:
            return DataIdentity({"rows": len(self)}, file_digest(file, "sha256").hexdigest()[:16])

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


@dataclass(frozen=True, slots=True, eq=False)
class TableRows:
    """The rows of a table by the names of architectures; `equal` has, for each family, the rows by canonical text."""

    file: TableFile
    key: RowKey
    rows: Mapping[Any, int]
    equal: dict[str, Mapping[str, int]] = field(default_factory=dict)

    def row(
        self, space: Any, architecture: Any, family: str = "", missing: Literal["refuse", "canonical"] = "refuse"
    ) -> int:
        """Return the row of an architecture; with `missing` "canonical" that of an equal one, where it has none.

        Raises RecordError where there is none.
        """
        name = self._name(space, architecture, family)
        row = self.rows.get(name)
        if row is None and missing == "canonical":
            row = self._by_canonical(space, family).get(canonical_of(family)(architecture))
        if row is None:
            shown = f"decisions {decisions(space, architecture)}" if self.key == "decisions" else f"{self.key} {name!r}"
            equal = ", nor for an equal architecture" if missing == "canonical" else ""
            raise RecordError(f"table {self.file.path} has no row for the {shown}{equal}")
        return row

    def _name(self, space: Any, architecture: Any, family: str) -> Any:
        if self.key == "digest":
            return digest(architecture)
        if self.key == "text":
            found = _family(family, "key text")
            return (found.usual or found.describe)(architecture)
        taken = tuple(decisions(space, architecture).values())
        return taken if self.key == "decisions" else "".join(map(str, taken))

    def _by_canonical(self, space: Any, family: str) -> Mapping[str, int]:
        if family not in self.equal:
            text_of = canonical_of(family)
            self.equal[family] = {text_of(self.member(space, name, family)): row for name, row in self.rows.items()}
        return self.equal[family]

    def member(self, space: Any, name: Any, family: str) -> Any:
        """Return the architecture that the name of a row stands for."""
        if self.key == "digest":
            raise RecordError("a digest cannot be read back to find an equal architecture: give refuse", "missing")
        if self.key == "text":
            return _family(family, "key text").parse(name)
        taken = iter(name)
        return resolve(space, lambda choice: int(next(taken)))

    def check_space(self, space: Any) -> None:
        """Raise RecordError where the rows are named by decisions of another space."""
        if self.key != "decisions":
            return
        arities = [choice.arity for choice in choices(space).values()]
        in_table = [1 + max(column) for column in zip(*self.rows, strict=True)]
        # a table that has every architecture reaches the largest index of each choice
        is_whole = len(self.rows) == math.prod(in_table)
        fits = (
            in_table == arities
            if is_whole
            else len(in_table) == len(arities) and all(map(int.__le__, in_table, arities))
        )
        if not fits:
            raise RecordError(
                f"table {self.file.path} is of another space: its decisions have {in_table} options, not {arities}; give the "
                "table of this space"
            )


def _family(name: str, needs: str) -> Family:
    if not name:
        raise RecordError(f"{needs} needs the family of the space: give the space by its name, or key decisions", "key")
    return family(name)


def canonical_of(name: str) -> Callable[[Any], str]:
    """Return the `canonical` of a family. Raises RecordError where it has none."""
    found = _family(name, "missing canonical").canonical
    if found is None:
        raise RecordError(f"space {name} does not say which of its members are equal: give refuse", "missing")
    return found


@lru_cache(maxsize=4)
def load_rows(name: str, key: RowKey = "decisions", key_columns: tuple[str, ...] = ()) -> TableRows:
    """Read a table, and the names of its rows: from the array `ops`, or the columns `key_columns`.

    Raises RecordError where it cannot be read, lacks these, or names a row twice.
    """
    file = load_table(name)
    if key != "decisions":
        names: Sequence[Any] = [str(each) for each in file.column(*key_columns or ("architecture",))]
    elif key_columns:
        columns = [[int(file.value(each, row)) for row in range(len(file))] for each in key_columns]
        names = list(zip(*columns, strict=True))
    elif file.ops is not None:
        names = [tuple(row) for row in file.ops]
    else:
        raise RecordError(
            f"table {file.path} has no array `ops`: give in key_columns the columns that hold the index of each decision, in "
            "the order of nas.decisions",
            "key_columns",
        )
    rows: dict[Any, int] = {}
    for row, each in enumerate(names):
        if rows.setdefault(each, row) != row:
            raise RecordError(f"table {file.path} has two rows for {each!r}, {rows[each]} and {row}: leave one of them")
    return TableRows(file, key, rows)


@lru_cache(maxsize=4)
def load_table(name: str) -> TableFile:
    """Read a table. Raises RecordError where it is missing, truncated, of no known kind, or without rows."""
    path = find_table(name)
    readers = {".npz": _read_npz, ".csv": _read_frame, ".parquet": _read_frame}
    if path.suffix not in readers:
        raise RecordError(f"table {path} is no .npz, .csv or .parquet: give one of these")
    file = readers[path.suffix](path)
    if not file.columns or not len(file):
        raise RecordError(f"table {path} has no rows: fetch it again")
    return file


def _read_npz(path: Path) -> TableFile:
    try:
        # a file of Python objects is refused: reading those could run code
        with np.load(path, allow_pickle=False) as arrays:
            held = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise RecordError(f"table {path} cannot be read ({error}): fetch it again") from None
    ops = held.pop(OPS, None)
    if "columns" in held and "values" not in held:
        raise RecordError(f"table {path} cannot be read (it has `columns` and no `values`): fetch it again")
    if "columns" in held:
        names, values = held["columns"], held["values"]
        if values.ndim != 2 or values.shape[1] != len(names) or (ops is not None and len(ops) != len(values)):
            shape = None if ops is None else ops.shape
            raise RecordError(
                f"table {path} has ops {shape}, values {values.shape} and {len(names)} columns: fetch it again"
            )
        columns = {str(each): values[:, i] for i, each in enumerate(names)}
    else:
        columns = {name: array for name, array in held.items() if array.ndim == 1}
        sizes = {name: len(column) for name, column in columns.items()} | ({OPS: len(ops)} if ops is not None else {})
        if len(set(sizes.values())) > 1:
            raise RecordError(f"table {path} has arrays of different lengths, {sizes}: give one value a row")
    return TableFile(path, columns, None if ops is None else ops.tolist())


def _read_frame(path: Path) -> TableFile:
    pandas = optional("pandas", "pandas")
    try:
        # texts such as 01 stay texts: they may be the digits of a key
        frame = pandas.read_parquet(path) if path.suffix == ".parquet" else pandas.read_csv(path, dtype=str)
    except (OSError, ValueError, pandas.errors.ParserError) as error:
        raise RecordError(f"table {path} cannot be read ({str(error).splitlines()[0]}): give another file") from None
    return TableFile(path, {str(name): frame[name].to_numpy() for name in frame.columns})


def find_table(name: str) -> Path:
    """Return the path of a data file: the path itself, or under NAS_DATA. Raises RecordError where neither exists."""
    folder = os.environ.get("NAS_DATA")
    for path in (Path(name), *([Path(folder, name)] if folder else [])):
        if path.is_file():
            return path
    where = f"nor in NAS_DATA={folder}" if folder else "and NAS_DATA is not set"
    raise RecordError(
        f"there is no file {name!r} here, {where}: set NAS_DATA to the folder that holds it, or give its path"
    )
