"""Notation: an architecture as short text, in the form that is usual for its family where there is one."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, final

from nas.export.format import Format
from nas.export.subject import Built, Subject
from nas.notation import in_lines, notation, parse
from nas.records import RecordError, digest, record


@final
@record
class Notation(Format):
    """Write a DARTS cell as its genotype, a cell of NAS-Bench-201 as its string, and anything else in our own notation.

    A family has a form of its own where the module of its space has `to_genotype` and `from_genotype`, or `to_string` and
    `from_string`.
    """

    name: ClassVar[str] = "notation"
    suffix: ClassVar[str] = ".txt"

    def write(self, subject: Subject, built: Built | None, path: Path) -> None:
        path.write_text(_text(subject) + "\n", encoding="utf-8")

    def check(self, subject: Subject, built: Built | None, path: Path) -> None:
        if digest(_read(subject, path.read_text(encoding="utf-8").strip())) != digest(subject.tree):
            raise RecordError(f"{path.name} reads as another architecture than the one that was written")

    def usage(self, subject: Subject, file: str) -> str:
        is_ours = not subject.is_space and _text(subject) == "\n".join(in_lines(notation(subject.tree)))
        return f"nas show {file}" if is_ours and subject.network is subject.tree else ""


def _text(subject: Subject) -> str:
    module = _module(subject)
    try:
        if module is not None and hasattr(module, "to_genotype"):
            return _genotype(module.to_genotype(subject.tree))
        if module is not None and hasattr(module, "to_string"):
            return str(module.to_string(subject.tree))
    except KeyError:  # an operation that has no name there
        pass
    return "\n".join(in_lines(notation(subject.tree)))


def _read(subject: Subject, text: str) -> Any:
    module = _module(subject)
    if module is not None and text.startswith("Genotype("):
        return module.from_genotype(_fields(text))
    return module.from_string(text) if module is not None and text.startswith("|") else parse(text)


def _module(subject: Subject) -> ModuleType | None:
    """Return the module that may have a form of its own for the subject: not for a space, nor for a stacked network."""
    is_bare = not subject.is_space and subject.tree is subject.found.architecture
    return import_module(subject.family.space.__module__) if is_bare else None


def _genotype(genotype: Mapping[str, Any]) -> str:
    """Write a genotype as the DARTS repository prints it."""
    fields = {key: [tuple(each) if isinstance(each, list) else each for each in genotype[key]] for key in genotype}
    return f"Genotype({', '.join(f'{key}={value}' for key, value in fields.items())})"


def _fields(text: str) -> dict[str, Any]:
    """Read a genotype without running it."""
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    return {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
