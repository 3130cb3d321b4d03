"""SVG: the drawing of an architecture, a network or a space."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, final
from xml.etree import ElementTree

from nas.drawing import draw
from nas.export.format import Format
from nas.export.subject import Built, Subject
from nas.records import RecordError, record


@final
@record
class Svg(Format):
    """Draw the architecture as an SVG, light or dark as the reader's system prefers."""

    name: ClassVar[str] = "svg"
    suffix: ClassVar[str] = ".svg"

    def write(self, subject: Subject, built: Built | None, path: Path) -> None:
        path.write_text(drawn(subject), encoding="utf-8")

    def check(self, subject: Subject, built: Built | None, path: Path) -> None:
        ElementTree.fromstring(path.read_text(encoding="utf-8"))


def drawn(subject: Subject) -> str:
    """Return the SVG of a subject, with tensor sizes for a network. Raises RecordError where it cannot be drawn."""
    sized = subject.found.input if subject.tree is subject.network else None
    if (picture := draw(subject.tree, sized)) is None:
        raise RecordError(
            f"{subject.asked.name}, a {type(subject.tree).__name__}, holds no nodes that could be drawn: export json"
        )
    return picture
