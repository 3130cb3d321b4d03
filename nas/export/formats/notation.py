"""Notation: an architecture as short text, in the form that its family's papers use where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, final

from nas.export.format import Format
from nas.export.subject import Built, Subject
from nas.family import Family
from nas.notation import in_lines, notation, parse
from nas.records import RecordError, digest, record
from nas.runs.written import read_found, read_text


@final
@record
class Notation(Format):
    """Write an architecture in its family's usual form: a DARTS genotype, a NAS-Bench-201 string.

    A space, a stacked network, and an architecture without such a form are written in Cellstack's notation.
    """

    name: ClassVar[str] = "notation"
    suffix: ClassVar[str] = ".txt"

    def write(self, subject: Subject, built: Built | None, path: Path) -> None:
        path.write_text(_text(subject) + "\n", encoding="utf-8")

    def check(self, subject: Subject, built: Built | None, path: Path) -> None:
        if digest(read_found(path).architecture) != digest(subject.tree):
            raise RecordError(f"{path.name} reads as another architecture than the one that was written")

    def usage(self, subject: Subject, file: str) -> str:
        return f"nas show {file}"


def _text(subject: Subject) -> str:
    if not subject.is_space and subject.tree is subject.found.architecture:
        for text in _usual_texts(subject.found.family, subject.family, subject.tree):
            if _reads_as(text, subject.tree):
                return text
    return "\n".join(in_lines(notation(subject.tree)))


def _usual_texts(name: str, family: Family, tree: Any) -> Iterator[str]:
    """Yield a family's texts for a member, the most usual first, each also with the family's name as a prefix."""
    for write in (family.usual, family.describe):
        if write is None or (write is family.describe and family.parse is parse):
            continue
        with suppress(RecordError):
            text = write(tree)
            # the prefix is for a text that would be read as a member of another family
            yield from (text, f"{name}:{text}")


def _reads_as(text: str, tree: Any) -> bool:
    try:
        return digest(read_text(text).architecture) == digest(tree)
    except RecordError:
        return False
