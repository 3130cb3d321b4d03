"""OfficialFile: the file that a benchmark of trained architectures was published as, read into the columns of a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from nas.evaluation.table_file import TableFile
from nas.evaluation.unpickling import Progress
from nas.records import RecordError, import_all, nearest, record_classes


class OfficialFile(ABC):
    """The published form of a benchmark. A subclass is a record in a separate file in nas/evaluation/official/.

    `format` is its name in `nas convert`, `example` the name of such a file.
    """

    format: ClassVar[str]
    example: ClassVar[str]

    @abstractmethod
    def read(self, path: Path, progress: Progress) -> TableFile:
        """Return the columns of the file, with the text of each row's architecture in the column `architecture`.

        `ops` has the decisions where the benchmark's space is a list of choices. Accuracies are in percent. Raises RecordError
        where the file is missing, damaged or another one, or wants code to be run.
        """


def official_files() -> dict[str, OfficialFile]:
    """Return every reader by its format."""
    import_all("nas.evaluation.official")
    classes: dict[str, Any] = record_classes(OfficialFile)
    return {each.format: each for each in sorted((cls() for cls in classes.values()), key=lambda each: each.format)}


def official_file(name: str) -> OfficialFile:
    """Return the reader of a format. Raises RecordError, with the nearest name, where there is none."""
    known = official_files()
    plain = name.lower().replace("-", "_")
    if plain not in known:
        raise RecordError(f"there is no format {name!r} to convert from: {nearest(plain, known)}")
    return known[plain]
