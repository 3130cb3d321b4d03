"""NAS-Bench-101 as NASLib distributes it: `nasbench_only108.pkl`, a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from nas.evaluation.nasbench101_rows import SCORES, CellRows
from nas.evaluation.official_file import OfficialFile
from nas.evaluation.table_file import TableFile
from nas.evaluation.unpickling import Progress, read_file, unpickle
from nas.records import record


@record
class Nasbench101Naslib(OfficialFile):
    """NAS-Bench-101 as NASLib has it, each training of 108 epochs, or of more: the file nasbench_only108.pkl.

    Source: naslib/utils/nb101_api.py of automl/NASLib: the pickle maps the hash of a cell to its fixed and its computed
    statistics.
    """

    format: ClassVar = "nasbench101_naslib"
    example: ClassVar = "nasbench_only108.pkl"

    def read(self, path: Path, progress: Progress) -> TableFile:
        cells = CellRows()
        with read_file(path, f"NASLib's pickle of NAS-Bench-101, such as {self.example}", progress) as file:
            for module_hash, (fixed, computed) in unpickle(file, path).items():
                cell = fixed["module_adjacency"], fixed["module_operations"], fixed["trainable_parameters"]
                row = cells.row(module_hash, *cell)
                for epochs, trainings in computed.items():
                    for each in trainings:
                        accuracies = {name: each[f"final_{name}_accuracy"] for name in SCORES}
                        cells.put_training(row, epochs, accuracies, each["final_training_time"])
            return cells.table(path)
