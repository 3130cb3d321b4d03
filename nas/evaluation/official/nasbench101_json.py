"""NAS-Bench-101 as others export it to JSON: a list of cells with the means of their trainings of 108 epochs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from nas.evaluation.nasbench101_rows import CellRows
from nas.evaluation.official_file import OfficialFile
from nas.evaluation.table_file import TableFile
from nas.evaluation.unpickling import Progress, read_file
from nas.records import record

EPOCHS = 108

NAMES = {
    "hash": ("unique_hash", "hash_", "hash"),
    "matrix": ("module_adjacency", "matrix"),
    "operations": ("module_operations", "ops"),
    "params": ("trainable_parameters", "n_params"),
    "train": ("avg_train_accuracy", "train_accuracy", "training_accuracy"),
    "validation": ("avg_validation_accuracy", "validation_accuracy"),
    "test": ("avg_test_accuracy", "test_accuracy"),
    "seconds": ("avg_training_time", "training_time"),
}
"""The names of a cell's parts, which differ between exports."""


@record
class Nasbench101Json(OfficialFile):
    """NAS-Bench-101 in JSON: a list of cells with their mean accuracies after 108 epochs, as CTNAS has it.

    Source: `ctnas/data/nas_bench.json` of chenyaofo/CTNAS, and exports of the same form with other names.
    """

    format: ClassVar = "nasbench101_json"
    example: ClassVar = "nas_bench.json"

    def read(self, path: Path, progress: Progress) -> TableFile:
        cells = CellRows()
        with read_file(path, "a JSON list of NAS-Bench-101's cells", progress) as file:
            for cell in json.load(file):
                row = cells.row(*(_part(cell, name) for name in ("hash", "matrix", "operations", "params")))
                accuracies = {name: _part(cell, name) for name in ("train", "validation", "test")}
                cells.put_mean(row, EPOCHS, accuracies, _part(cell, "seconds"))
            return cells.table(path)


def _part(cell: Mapping[str, Any], name: str) -> Any:
    """Return a part of a cell, whatever it is called."""
    return cell[next((each for each in NAMES[name] if each in cell), NAMES[name][0])]
