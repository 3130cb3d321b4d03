"""NATS-Bench as published: the topology and the size search space, as one file or as a folder of one file an architecture."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from nas.evaluation.official_columns import Columns
from nas.evaluation.official_file import OfficialFile
from nas.evaluation.official_runs import put_results, table_of, whole_table
from nas.evaluation.table_file import TableFile
from nas.evaluation.unpickling import Progress, read_file, unpickle_compressed
from nas.records import RecordError, record

WHAT = "a file of NATS-Bench"


@record
class NatsBenchFile(OfficialFile):
    """NATS-Bench, 15,625 cells or 32,768 networks of other widths: the folder `-simple`, or the one file .pickle.pbz2.

    Rows are in the official order of indices. The folder is read one architecture at a time; the one file becomes tens of GB of
    memory. Source: Dong, Liu, Musial and Gabrys 2021, arXiv:2009.00437; nats_bench/api_topology.py and api_size.py of
    D-X-Y/NATS-Bench. Of each training the accuracies after its last epoch are kept.
    """

    format: ClassVar = "nats_bench"
    example: ClassVar = "NATS-tss-v1_0-3ffb9-simple"

    def read(self, path: Path, progress: Progress) -> TableFile:
        if path.is_dir():
            return self._read_folder(path, progress)
        with read_file(path, f"{WHAT}, such as {self.example}", progress) as file:
            return whole_table(path, unpickle_compressed(file, path))

    def _read_folder(self, path: Path, progress: Progress) -> TableFile:
        meta = path / "meta.pickle.pbz2"
        if not meta.is_file():
            raise RecordError(f"folder {path} has no {meta.name}: give a folder such as {self.example}")
        with read_file(meta, WHAT, _ignore) as file:
            texts = unpickle_compressed(file, meta)["meta_archs"]
        columns, parts = Columns(), [path / f"{index:06d}.pickle.pbz2" for index in range(len(texts))]
        if missing := [part.name for part in parts if not part.is_file()]:
            there = f"{len(parts) - len(missing):,} of {len(parts):,} architectures"
            raise RecordError(f"folder {path} has {there}, and no {missing[0]}: fetch it again")
        for row, part in enumerate(parts):
            with read_file(part, WHAT, _ignore) as file:
                put_results(columns, row, unpickle_compressed(file, part).values())
            progress((row + 1) / len(parts))
        return table_of(path, texts, columns)


def _ignore(share: float) -> None:
    """Ignore the share of a small file that has been read."""
