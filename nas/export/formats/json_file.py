"""JSON: the plain form that runs write, and every command reads."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, final

from nas.export.format import Format
from nas.export.formats.plain_file import check_plain, plain_of
from nas.export.subject import Built, Subject
from nas.plain import write
from nas.records import record


@final
@record
class Json(Format):
    """Write the architecture and its stacking options as JSON, which `nas show`, `nas train` and the others read."""

    name: ClassVar[str] = "json"
    suffix: ClassVar[str] = ".json"

    def write(self, subject: Subject, built: Built | None, path: Path) -> None:
        path.write_text(write(plain_of(subject)), encoding="utf-8")

    def check(self, subject: Subject, built: Built | None, path: Path) -> None:
        check_plain(subject, path)

    def usage(self, subject: Subject, file: str) -> str:
        return f"nas show {file}"
