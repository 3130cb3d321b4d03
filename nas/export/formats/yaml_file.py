"""YAML: the plain form that runs write, for reading and editing by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, final

import yaml

from nas.export.format import Format
from nas.export.formats.plain_file import check_plain, plain_of
from nas.export.subject import Built, Subject
from nas.plain import write
from nas.records import record


@final
@record
class Yaml(Format):
    """Write the architecture and its stacking options as YAML, which every command reads too."""

    name: ClassVar[str] = "yaml"
    suffix: ClassVar[str] = ".yaml"

    def write(self, subject: Subject, built: Built | None, path: Path) -> None:
        plain = json.loads(write(plain_of(subject)))
        path.write_text(yaml.safe_dump(plain, sort_keys=False, width=120, allow_unicode=True), encoding="utf-8")

    def check(self, subject: Subject, built: Built | None, path: Path) -> None:
        check_plain(subject, path)

    def usage(self, subject: Subject, file: str) -> str:
        return f"nas show {file}"
