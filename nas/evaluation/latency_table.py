"""Costs of architectures from a table, such as latencies that were measured on devices."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import file_digest
from typing import Any

from nas.data.identity import DataIdentity
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Task, at_once
from nas.evaluation.tabular import load_table
from nas.history import Scores
from nas.records import RecordError, nearest, record
from nas.space import decisions


@record
class LatencyTable(Evaluator):
    """Score an architecture by columns of a table: `columns` maps each score to its column, as `latency_ms: raspi4_ms`.

    The table has the arrays that Tabular reads: `ops` (rows, decisions), `columns` and `values` (rows, columns).
    """

    table: str
    columns: Mapping[str, str]

    def prepare(self, space: Any) -> dict[str, Any]:
        known = load_table(self.table).columns
        for score, column in self.columns.items():
            if column not in known:
                place = f"columns.{score}"
                raise RecordError(f"table {self.table} has no column {column!r}: {nearest(column, known)}", place)
        return {}

    def scores(self) -> tuple[str, ...]:
        return tuple(self.columns)

    def identity(self) -> DataIdentity:
        table = load_table(self.table)
        with table.path.open("rb") as file:
            return DataIdentity({"rows": len(table.rows)}, file_digest(file, "sha256").hexdigest()[:16])

    def costs(self, task: Task, architecture: Any) -> Scores:
        table, taken = load_table(self.table), decisions(task.space, architecture)
        row = table.rows.get(tuple(taken.values()))
        if row is None:
            raise RecordError(f"table {table.path} has no row for the decisions {taken}")
        return {score: table.column(column)[row] for score, column in self.columns.items()}

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        return at_once(self.costs(task, job.architecture))
