"""Scoring by a table: a benchmark whose architectures have all been trained already."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from nas.data.identity import DataIdentity
from nas.evaluation.candidate import architecture_of
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task, at_once
from nas.evaluation.repeats import deviation_of, over_repeats
from nas.evaluation.table_file import RowKey, TableFile, TableRows, load_rows, load_table
from nas.places import Place
from nas.records import Positive, RecordError, record


@record
class Fidelity:
    """The columns of trainings that ended after fewer `epochs`: their validation accuracy, and their seconds.

    Without a column `seconds` it is that of the whole trainings, in units of its own.
    """

    epochs: Positive
    validation: str
    seconds_per_unit: float = 1.0
    seconds_offset: float = 0.0
    seconds: str | None = None


@record
class Table(Evaluator):
    """Look an architecture up in a table, with the simulated training time as the clock.

    `table` is a .npz, .csv or .parquet: a path, or a name under the folder in the environment variable NAS_DATA. The column
    `validation` is the score validation_top1_percent, `columns` maps the names of further scores to columns, and `test_columns`
    those of the test scores. A list of test columns, one for each training of the same architecture, gives the mean and, with
    `_std` after the name, the standard deviation of the trainings that a row has. The simulated `seconds` are `seconds_offset` +
    `seconds_per_unit` times the `seconds` column. A table that also holds shorter trainings has them as `earlier`, and says the
    `epochs` of the whole ones, for strategies with rungs.

    `key` says how rows name architectures: by "decisions", in the array `ops` (N, decisions) of an .npz such as NAS-Bench-201's,
    or in one of `key_columns` a choice; by the "digits" of the decisions in one text; by the "text" of the architecture in the
    notation of its space; or by its "digest". These three are in the column `architecture`, or in the one of `key_columns`.
    With `missing` "canonical", an architecture without a row has that of an equal one; else its evaluation fails.
    """

    table: Annotated[str, Place("NAS_DATA")]
    validation: str | None = None
    test_columns: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    seconds: str | None = None
    seconds_per_unit: float = 1.0
    seconds_offset: float = 0.0
    epochs: Positive | None = None
    earlier: tuple[Fidelity, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    key: RowKey = "decisions"
    key_columns: tuple[str, ...] = ()
    missing: Literal["refuse", "canonical"] = "refuse"
    instant: ClassVar[bool] = True
    formerly: ClassVar = ("Tabular",)

    def __post_init__(self) -> None:
        if self.earlier and (self.epochs is None or max(each.epochs for each in self.earlier) >= self.epochs):
            raise RecordError("epochs are those of the whole trainings: give more than those of `earlier`", "epochs")
        if self.earlier and self.validation is None:
            raise RecordError("earlier trainings have a validation: give the column of the whole ones", "validation")
        if self.key != "decisions" and len(self.key_columns) > 1:
            raise RecordError(f"key {self.key} is in one column, and there are {len(self.key_columns)}", "key_columns")
        if not self.scores():
            raise RecordError("the table gives no score: give `validation`, or `columns`", "columns")
        if twice := [name for name in self.columns if self.scores().count(name) > 1]:
            raise RecordError(f"columns gives {twice[0]}, which the table has already: give another name", "columns")

    def full_epochs(self) -> int | None:
        return self.epochs

    def check_epochs(self, epochs: Collection[int]) -> None:
        known = sorted({*(each.epochs for each in self.earlier), *([self.epochs] if self.epochs else [])})
        if other := [each for each in epochs if each not in known]:
            has = f"trainings of {', '.join(map(str, known))} epochs" if known else "whole trainings alone"
            raise RecordError(f"a rung is {other[0]} epochs, and table {self.table} has {has}: give those", "epochs")

    def prepare(self, space: Any) -> dict[str, Any]:
        table = load_table(self.table)
        declared = (
            self.validation,
            self.seconds,
            *(name for each in self.earlier for name in (each.validation, each.seconds)),
        )
        tested = (name for columns in self.test_columns.values() for name in _listed(columns))
        for name in (*declared, *self.columns.values(), *tested):
            if name is not None:
                table.column(name)
        self._rows().check_space(space)
        return {}

    def scores(self) -> tuple[str, ...]:
        validation = ["validation_top1_percent"] if self.validation is not None else []
        return (*validation, *(["seconds"] if self.seconds is not None else []), *self.columns)

    def test_scores(self) -> tuple[str, ...]:
        repeated = (deviation_of(name) for name, columns in self.test_columns.items() if len(_listed(columns)) > 1)
        return (*self.test_columns, *repeated)

    def identity(self) -> DataIdentity:
        return load_table(self.table).identity()

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        file, row = self._find(task, job)
        taken = next((each for each in self.earlier if each.epochs == job.epochs), self)
        found = {name: file.value(column, row) for name, column in self.columns.items()}
        if taken.validation is not None:
            found["validation_top1_percent"] = file.value(taken.validation, row)
        if self.seconds is not None:
            column = taken.seconds or self.seconds
            found["seconds"] = taken.seconds_offset + taken.seconds_per_unit * file.value(column, row)
        return at_once(found)

    def test(self, task: Task, job: Job, weights: Path | None = None) -> Evaluation:
        file, row = self._find(task, job)
        found: dict[str, float] = {}
        for name, columns in self.test_columns.items():
            values = [file.value(column, row) for column in _listed(columns)]
            there = [value for value in values if not math.isnan(value)] or values[:1]
            found |= over_repeats([{name: value} for value in there])
        return at_once(found)

    def _rows(self) -> TableRows:
        return load_rows(self.table, self.key, self.key_columns)

    def _find(self, task: Task, job: Job) -> tuple[TableFile, int]:
        rows, space = self._rows(), architecture_of(task.space)
        return rows.file, rows.row(space, architecture_of(job.architecture), task.family, self.missing)


def _listed(columns: str | tuple[str, ...]) -> tuple[str, ...]:
    return (columns,) if isinstance(columns, str) else columns
