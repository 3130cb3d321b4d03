"""Costs predicted from a table of measured architectures, such as latencies on a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import numpy as np

from nas.data.identity import DataIdentity
from nas.evaluation.candidate import architecture_of
from nas.evaluation.evaluator import Evaluation, Evaluator, Job, Progress, Task
from nas.evaluation.table_file import RowKey, load_rows, load_table
from nas.history import Scores
from nas.places import Place
from nas.predictors.encoding import Encoding
from nas.predictors.gaussian_process import GaussianProcess
from nas.predictors.learning import fitted_to_features
from nas.predictors.one_hot import OneHot
from nas.predictors.predictor import Predictor
from nas.records import Natural, Positive, RecordError, record

if TYPE_CHECKING:
    from nas.predictors.learning import PredictedFeatures

FOLDS = 5
"""The parts of a cross-validation."""


class Fitted(NamedTuple):
    """The predictor of one score, and its errors.

    The errors are those of a cross-validation: the mean of the absolute ones, in percent of the mean value, and Spearman's rank
    correlation of predicted and measured values.
    """

    predict: PredictedFeatures
    error_percent: float
    rank_correlation: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows of a table, and the space of their architectures; `count` rows that `seed` draws, or all of them."""

    table: str
    key: RowKey
    key_columns: tuple[str, ...]
    count: int | None
    seed: int
    space: Any
    family: str

    def members(self) -> dict[int, Any]:
        """Return the architectures by their row.

        Raises RecordError where there are fewer than `count`, or fewer than a cross-validation needs.
        """
        table = load_rows(self.table, self.key, self.key_columns)
        wanted = self.count or len(table.rows)
        if not FOLDS <= wanted <= len(table.rows):
            raise RecordError(
                f"table {table.file.path} has {len(table.rows)} rows, and {wanted} were asked for: give {FOLDS} at least, and "
                "at most what there is",
                "rows",
            )
        drawn = Random(self.seed).sample(sorted(table.rows.items(), key=lambda named: named[1]), wanted)
        return {row: table.member(self.space, name, self.family) for name, row in drawn}


@record
class Predicted(Evaluator):
    """Score an architecture by predictors fitted to a table: `columns` maps each score to its column.

    The table is that of Table; `nas table RUN` writes one from a search with Latency. With `rows` the predictors are fitted to
    that number of them, drawn by `seed`. The errors of a cross-validation in five parts are said with the first evaluation.
    """

    table: Annotated[str, Place("NAS_DATA")]
    columns: Mapping[str, str]
    key: RowKey = "decisions"
    key_columns: tuple[str, ...] = ()
    rows: Positive | None = None
    predictor: Predictor = GaussianProcess()
    encoding: Encoding = OneHot()
    seed: Natural = 0
    instant: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.key == "digest":
            raise RecordError("a digest cannot be read back to the architecture that was measured: give text", "key")

    def prepare(self, space: Any) -> dict[str, Any]:
        self.predictor.check()
        for name in self.columns.values():
            load_table(self.table).column(name)
        load_rows(self.table, self.key, self.key_columns).check_space(space)
        return {}

    def check(self, task: Task) -> None:
        self.fitted(task)

    def scores(self) -> tuple[str, ...]:
        return tuple(self.columns)

    def identity(self) -> DataIdentity:
        return load_table(self.table).identity()

    def costs(self, task: Task, architecture: Any) -> Scores:
        features = self.encoding.features(architecture_of(task.space), architecture_of(architecture))
        return {score: float(each.predict([features])[0][0]) for score, each in self.fitted(task).items()}

    def evaluate(self, task: Task, job: Job) -> Evaluation:
        if job.number == 0:
            yield Progress(warning=self.errors(task))
        return self.costs(task, job.architecture)

    def errors(self, task: Task) -> str:
        """Return a sentence about the errors of each predictor."""
        count = self.rows or len(load_table(self.table))
        return "; ".join(
            f"{score} is predicted from {count} rows of {self.table}: mean absolute error {each.error_percent:.1f} %, rank "
            f"correlation {each.rank_correlation:.2f} in {FOLDS}-fold cross-validation"
            for score, each in self.fitted(task).items()
        )

    def fitted(self, task: Task) -> dict[str, Fitted]:
        """Return the predictor of each score; they are fitted once in a process."""
        space = architecture_of(task.space)
        measured = Measured(self.table, self.key, self.key_columns, self.rows, self.seed, space, task.family)
        return {score: fit(measured, column, self.predictor, self.encoding) for score, column in self.columns.items()}


@lru_cache(maxsize=16)
def fit(measured: Measured, column: str, predictor: Predictor, encoding: Encoding) -> Fitted:
    """Fit a predictor to a column of measured architectures, and cross-validate it."""
    from scipy.stats import spearmanr  # type: ignore[import-untyped, unused-ignore]

    members, file = measured.members(), load_table(measured.table)
    features = [encoding.features(measured.space, each) for each in members.values()]
    values = np.array([file.value(column, row) for row in members])

    def fitted(known: Sequence[int]) -> PredictedFeatures:
        return fitted_to_features(predictor, encoding, [features[i] for i in known], values[known], measured.seed)

    held_out = np.empty_like(values)
    for fold in range(FOLDS):
        held = range(fold, len(values), FOLDS)
        others = [i for i in range(len(values)) if i % FOLDS != fold]
        held_out[held] = fitted(others)([features[i] for i in held])[0]
    error_percent = 100 * float(np.mean(np.abs(held_out - values)) / np.mean(np.abs(values)))
    return Fitted(fitted(range(len(values))), error_percent, float(spearmanr(held_out, values).statistic))
