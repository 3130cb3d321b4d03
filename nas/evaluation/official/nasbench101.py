"""NAS-Bench-101 as published: `nasbench_full.tfrecord` or `nasbench_only108.tfrecord`, read without TensorFlow."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any, ClassVar

from nas.evaluation.nasbench101_rows import CellRows
from nas.evaluation.official_file import OfficialFile
from nas.evaluation.table_file import TableFile
from nas.evaluation.tfrecords import fields_of, records
from nas.evaluation.unpickling import Progress, read_file
from nas.records import record

EVALUATIONS, PARAMETERS = 1, 2
"""Fields of the message ModelMetrics in nasbench/lib/model_metrics.proto."""

SECONDS, ACCURACIES = 2, {3: "train", 4: "validation", 5: "test"}
"""Fields of its part EvaluationData."""

LAST = 2
"""The evaluation at the end of a training, after those before it and half way."""


@record
class Nasbench101File(OfficialFile):
    """NAS-Bench-101, 423,624 cells on CIFAR-10, three trainings of 4, 12, 36 and 108 epochs each: a .tfrecord file.

    The evaluations half way through each training are left out. Source: Ying et al. 2019, arXiv:1902.09635; nasbench/api.py of
    google-research/nasbench: a record is JSON of the cell's hash, the epochs, the matrix, the operations, and the metrics.
    """

    format: ClassVar = "nasbench101"
    example: ClassVar = "nasbench_full.tfrecord"

    def read(self, path: Path, progress: Progress) -> TableFile:
        cells = CellRows()
        with read_file(path, f"a TFRecord file of NAS-Bench-101, such as {self.example}", progress) as file:
            for each in records(file):
                _put(cells, *json.loads(each))
            return cells.table(path)


def _put(cells: CellRows, module_hash: str, epochs: int, matrix: str, operations: str, metrics: str) -> None:
    names = operations.split(",")
    vertices = len(names)
    rows = [matrix[each : each + vertices] for each in range(0, len(matrix), vertices)]
    found: list[tuple[int, Any]] = list(fields_of(b64decode(metrics)))
    last = dict(fields_of([value for field, value in found if field == EVALUATIONS][LAST]))
    row = cells.row(module_hash, rows, names, dict(found)[PARAMETERS])
    accuracies = {name: float(last[field]) for field, name in ACCURACIES.items()}
    cells.put_training(row, epochs, accuracies, float(last[SECONDS]))
