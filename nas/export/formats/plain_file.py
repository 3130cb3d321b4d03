"""Shared by JSON and YAML: an architecture or a space as runs write it, with its family and stacking options."""

from __future__ import annotations

from pathlib import Path

from nas.export.subject import Subject
from nas.family import StackedNetwork
from nas.records import RecordError, digest
from nas.runs.written import read_found


def plain_of(subject: Subject) -> StackedNetwork:
    """Return the record to write."""
    return subject.found


def check_plain(subject: Subject, path: Path) -> None:
    """Read the file back. Raises RecordError where its content has another digest."""
    if digest(read_found(path)) != digest(plain_of(subject)):
        raise RecordError(
            f"{path.name} reads back as a different architecture: a field of one of its records is not written"
        )
