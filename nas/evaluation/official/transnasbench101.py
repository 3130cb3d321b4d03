"""TransNAS-Bench-101 as published: `transnas-bench_v10141024.pth`."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar

from nas.evaluation.official_columns import Columns
from nas.evaluation.official_file import OfficialFile
from nas.evaluation.table_file import TableFile
from nas.evaluation.unpickling import Progress, read_file, unpickle_torch
from nas.records import record


@record
class TransNasBench101File(OfficialFile):
    """TransNAS-Bench-101, 3,256 macro and 4,096 micro networks on seven tasks of Taskonomy: the .pth file.

    TASK_METRIC is a metric after the last epoch, TASK_METRIC_best the highest of all epochs, as the API's "final" and "best", in
    the benchmark's own units; a metric that is no number is left out. Source: Duan et al. 2021, arXiv:2105.11871; the API of
    yawen-d/TransNASBench, which makes its classes after reading: the file itself holds containers alone.
    """

    format: ClassVar = "transnasbench101"
    example: ClassVar = "transnas-bench_v10141024.pth"

    def read(self, path: Path, progress: Progress) -> TableFile:
        columns, texts, spaces = Columns(), list[str](), list[str]()
        with read_file(path, f"TransNAS-Bench-101's file, such as {self.example}", progress) as file:
            for space, networks in unpickle_torch(file, path)["data"].items():
                for text, tasks in networks.items():
                    for task, result in tasks.items():
                        _put(columns, len(texts), task, result)
                    texts.append(text)
                    spaces.append(space)
            return TableFile(path, {"architecture": texts, "space": spaces, **columns.finished(len(texts))})


def _put(columns: Columns, row: int, task: str, result: Mapping[str, Any]) -> None:
    columns.put(row, f"{task}_epochs", result["total_epochs"])
    for name, value in result["model_info"].items():
        columns.put(row, f"{task}_{name}", value)
    for name, values in result["metrics"].items():
        if isinstance(values[-1], Real):
            columns.put(row, f"{task}_{name}", values[-1])
            if not name.endswith("loss") or name.endswith("neg_loss"):
                columns.put(row, f"{task}_{name}_best", max(values))
