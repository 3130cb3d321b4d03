"""NAS-Bench-201 as published: `NAS-Bench-201-v1_1-096897.pth`, or that of v1_0."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from nas.evaluation.official_file import OfficialFile
from nas.evaluation.official_runs import whole_table
from nas.evaluation.table_file import TableFile
from nas.evaluation.unpickling import Progress, read_file, unpickle_torch
from nas.records import record


@record
class Nasbench201File(OfficialFile):
    """NAS-Bench-201, 15,625 cells on CIFAR-10, CIFAR-100 and ImageNet16-120: the .pth file of v1_0 or v1_1.

    Rows are in the official order of indices. The file becomes tens of GB of memory when it is read: the folder of NATS-Bench has
    the same cells, and is read one at a time. Source: Dong and Yang 2020, arXiv:2001.00326; nas_201_api/api_201.py of
    D-X-Y/NAS-Bench-201: `arch2infos` has the results of 12 epochs as "less", those of 200 as "full". In v1_0 the trainings
    of 200 epochs have no times, and those of 12 epochs are on cifar10-valid alone.
    """

    format: ClassVar = "nasbench201"
    example: ClassVar = "NAS-Bench-201-v1_1-096897.pth"

    def read(self, path: Path, progress: Progress) -> TableFile:
        with read_file(path, f"NAS-Bench-201's file, such as {self.example}", progress) as file:
            return whole_table(path, unpickle_torch(file, path))
