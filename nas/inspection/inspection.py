"""Inspection: one method of looking into a trained network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from nas.inspection.findings import Findings
from nas.inspection.subject import Subject
from nas.records import RecordError, import_all, nearest, record_classes

Chapter = Literal["Right and wrong", "What it looks at", "What units respond to", "From layer to layer"]

CHAPTERS: tuple[Chapter, ...] = (
    "Right and wrong",
    "What it looks at",
    "What units respond to",
    "From layer to layer",
)
"""The chapters of a page, in their order."""


class Inspection(ABC):
    """A method of inspection. A subclass is a record in a separate file in nas/inspection/methods/.

    `name` is that of its numbers in JSON and in `--only`, `title` its heading, `chapter` its place on the page.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    chapter: ClassVar[Chapter]

    @abstractmethod
    def inspect(self, subject: Subject) -> Findings:
        """Return what the method finds. The same subject gives the same findings; weights and modes stay as they were."""


def inspections(only: Sequence[str] = ()) -> list[Inspection]:
    """Return every method, or those named, by chapter and title. Raises RecordError, with the nearest, for an unknown name."""
    import_all("nas.inspection.methods")
    classes: dict[str, Any] = record_classes(Inspection)
    found: list[Inspection] = [cls() for cls in classes.values()]
    known = {each.name: each for each in sorted(found, key=lambda each: (CHAPTERS.index(each.chapter), each.title))}
    for name in only:
        if name not in known:
            raise RecordError(f"there is no inspection {name!r}: {nearest(name, known)}")
    return [each for name, each in known.items() if not only or name in only]
