"""Scoring by a table: a benchmark whose architectures have all been trained already."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import file_digest
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np

from nas.data.identity import DataIdentity
from nas.evaluation.candidate import architecture_of
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task, at_once
from nas.places import Place
from nas.records import Positive, RecordError, nearest, record
from nas.space import choices, decisions


@dataclass(frozen=True, slots=True, eq=False)
class TableRows:
    """A table's rows, by the decisions of an architecture, in the space's order of choices."""

    path: Path
    rows: Mapping[tuple[int, ...], int]
    columns: Mapping[str, list[float]]

    def column(self, name: str) -> list[float]:
        """Return a column by its name. Raises RecordError, with the nearest name, where there is none."""
        if name not in self.columns:
            raise RecordError(f"table {self.path} has no column {name!r}: {nearest(name, self.columns)}")
        return self.columns[name]

    def check_space(self, space: Any) -> None:
        """Raise RecordError where the rows are not the architectures of `space`."""
        arities = [choice.arity for choice in choices(space).values()]
        # a table has every architecture, so each column reaches the largest index of its choice
        in_table = [1 + max(column) for column in zip(*self.rows, strict=True)]
        if in_table != arities:
            raise RecordError(
                f"table {self.path} is of another space: its decisions have {in_table} options, not {arities}; give the "
                "table of this space"
            )

    def row(self, space: Any, architecture: Any) -> int:
        """Return the row of an architecture. Raises RecordError where there is none."""
        taken = decisions(space, architecture)
        try:
            return self.rows[tuple(taken.values())]
        except KeyError:
            raise RecordError(f"table {self.path} has no row for the decisions {taken}") from None

    def identity(self) -> DataIdentity:
        """Return the identity of the file."""
        with self.path.open("rb") as file:
            return DataIdentity({"rows": len(self.rows)}, file_digest(file, "sha256").hexdigest()[:16])


@record
class Fidelity:
    """The columns of trainings that ended after fewer `epochs`: their validation accuracy, and their seconds."""

    epochs: Positive
    validation: str
    seconds_per_unit: float = 1.0
    seconds_offset: float = 0.0


@record
class Table(Evaluator):
    """Look an architecture up in a table, with the simulated training time as the clock.

    `table` is a path, or a name under the folder in the environment variable NAS_DATA: a .npz with `ops` (N, decisions),
    `columns` and `values` (N, columns), such as NAS-Bench-201's. The simulated `seconds` are `seconds_offset` +
    `seconds_per_unit` times the `seconds` column. `test_columns` maps the names of the test scores to columns. A table that also
    holds shorter trainings has them as `earlier`, and says the `epochs` of the whole ones, for strategies with rungs.
    """

    table: Annotated[str, Place("NAS_DATA")]
    validation: str
    test_columns: Mapping[str, str]
    seconds: str
    seconds_per_unit: float = 1.0
    seconds_offset: float = 0.0
    epochs: Positive | None = None
    earlier: tuple[Fidelity, ...] = ()
    instant: ClassVar[bool] = True
    formerly: ClassVar = ("Tabular",)

    def __post_init__(self) -> None:
        if self.earlier and (self.epochs is None or max(each.epochs for each in self.earlier) >= self.epochs):
            raise RecordError("epochs are those of the whole trainings: give more than those of `earlier`", "epochs")

    def full_epochs(self) -> int | None:
        return self.epochs

    def check_epochs(self, epochs: Collection[int]) -> None:
        known = sorted({*(each.epochs for each in self.earlier), *([self.epochs] if self.epochs else [])})
        if other := [each for each in epochs if each not in known]:
            has = f"trainings of {', '.join(map(str, known))} epochs" if known else "whole trainings alone"
            raise RecordError(f"a rung is {other[0]} epochs, and table {self.table} has {has}: give those", "epochs")

    def prepare(self, space: Any) -> dict[str, Any]:
        table = load_table(self.table)
        columns = self.validation, self.seconds, *(each.validation for each in self.earlier)
        for name in (*columns, *self.test_columns.values()):
            table.column(name)
        table.check_space(space)
        return {}

    def scores(self) -> tuple[str, ...]:
        return "validation_top1_percent", "seconds"

    def test_scores(self) -> tuple[str, ...]:
        return tuple(self.test_columns)

    def identity(self) -> DataIdentity:
        return load_table(self.table).identity()

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        table, row = self._find(task, job)
        taken = next((each for each in self.earlier if each.epochs == job.epochs), self)
        seconds = taken.seconds_offset + taken.seconds_per_unit * table.column(self.seconds)[row]
        return at_once({"validation_top1_percent": table.column(taken.validation)[row], "seconds": seconds})

    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        table, row = self._find(task, job)
        return at_once({name: table.column(column)[row] for name, column in self.test_columns.items()})

    def _find(self, task: Task, job: Job) -> tuple[TableRows, int]:
        table = load_table(self.table)
        return table, table.row(architecture_of(task.space), architecture_of(job.architecture))


@lru_cache(maxsize=4)
def load_table(name: str) -> TableRows:
    """Read a table. Raises RecordError where it is missing or truncated, or lacks an array."""
    path = find_table(name)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            ops, names, values = arrays["ops"], arrays["columns"], arrays["values"]
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise RecordError(f"table {path} cannot be read ({error}): fetch it again") from None
    if not len(ops) == len(values) or values.ndim != 2 or values.shape[1] != len(names):
        raise RecordError(
            f"table {path} has ops {ops.shape}, values {values.shape} and {len(names)} columns: fetch it again"
        )
    if not len(ops):
        raise RecordError(f"table {path} has no rows: fetch it again")
    rows = {tuple(row): i for i, row in enumerate(ops.tolist())}
    return TableRows(path, rows, {str(each): values[:, i].tolist() for i, each in enumerate(names)})


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
