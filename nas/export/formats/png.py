"""PNG: the drawing of an architecture as pixels, for slides and documents."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, final

from nas.drawing import to_png
from nas.export.format import Format
from nas.export.formats.svg import drawn
from nas.export.subject import Built, Subject
from nas.records import RecordError, record

SIGNATURE = b"\x89PNG\r\n\x1a\n"


@final
@record
class Png(Format):
    """Draw the architecture as a PNG with a light background, at twice the size of the SVG."""

    name: ClassVar[str] = "png"
    suffix: ClassVar[str] = ".png"

    def write(self, subject: Subject, built: Built | None, path: Path) -> None:
        to_png(drawn(subject), path)

    def check(self, subject: Subject, built: Built | None, path: Path) -> None:
        content = path.read_bytes()
        if not content.startswith(SIGNATURE) or b"IEND" not in content[-12:]:
            raise RecordError(f"{path.name} is not a complete PNG")
