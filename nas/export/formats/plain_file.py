"""What JSON and YAML share: an architecture as runs write it, a space as a bare tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from nas.export.subject import Subject
from nas.plain import read
from nas.records import RecordError, digest
from nas.runtime.architecture import read_found


def plain_of(subject: Subject) -> Any:
    """Return the record that is written: with the family and the options of stacking or, for a space, the tree alone."""
    return subject.tree if subject.is_space else subject.found


def check_plain(subject: Subject, path: Path) -> None:
    """Read the file again. Raises RecordError where its content has another name."""
    if subject.is_space:
        back = read(yaml.safe_load(path.read_text(encoding="utf-8")), path.name)
    else:
        back = read_found(path)
    if digest(back) != digest(plain_of(subject)):
        raise RecordError(f"{path.name} reads as something else: a field of one of its records is not written")
