"""Costs of architectures from a table, such as latencies that were measured on devices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from nas.data.identity import DataIdentity
from nas.evaluation.candidate import architecture_of
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task, at_once
from nas.evaluation.table_file import load_rows, load_table
from nas.history import Scores
from nas.places import Place
from nas.records import record


@record
class LatencyTable(Evaluator):
    """Score an architecture by columns of a table: `columns` maps each score to its column, as `latency_ms: raspi4_ms`.

    The table is found and read as that of Table.
    """

    table: Annotated[str, Place("NAS_DATA")]
    columns: Mapping[str, str]
    instant: ClassVar[bool] = True

    def prepare(self, space: Any) -> dict[str, Any]:
        table = load_table(self.table)
        for name in self.columns.values():
            table.column(name)
        load_rows(self.table).check_space(space)
        return {}

    def scores(self) -> tuple[str, ...]:
        return tuple(self.columns)

    def identity(self) -> DataIdentity:
        return load_table(self.table).identity()

    def costs(self, task: Task, architecture: Any) -> Scores:
        rows = load_rows(self.table)
        row = rows.row(architecture_of(task.space), architecture_of(architecture))
        return {score: rows.file.value(column, row) for score, column in self.columns.items()}

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        return at_once(self.costs(task, job.architecture))
