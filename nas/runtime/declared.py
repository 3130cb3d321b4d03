"""Declared: what a YAML file declares, read with its assignments and written with every default."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import yaml

from nas.plain import from_plain
from nas.records import RecordError, import_all, import_named, to_plain
from nas.runtime.yaml_file import YamlFile

T = TypeVar("T")


def load_declared(
    path: Path, assignments: Sequence[str], kind: type[T], check: Callable[[T], None] = lambda declared: None
) -> T:
    """Read the record of a kind that a file declares, with `key=value` assignments over it, and check it.

    Modules of the user's own that its `imports` names are imported first. Raises RecordError with file, line, key and the
    nearest known name where something is wrong.
    """
    file = YamlFile(path)
    file.override(assignments)
    for package in ("nas.strategies", "nas.evaluation", "nas.data", "nas.supernets", "nas.runtime"):
        import_all(package)
    try:
        for module in from_plain(file.plain.get("imports") or (), tuple[str, ...], "imports"):
            import_named(module, "imports")
        declared: T = from_plain(file.plain, kind)
        check(declared)
    except RecordError as error:
        raise file.locate(error) from None
    return declared


def experiments_folder() -> Path:
    """Return the folder of the experiments that come with the library: here, in its checkout, or installed with it."""
    places = Path("experiments"), Path(__file__).resolve().parents[2] / "experiments"
    installed = Path(sys.prefix, "share", "cellstack", "experiments")
    return next((place for place in places if (place / "recipes").is_dir()), installed)


def dump(declared: object) -> str:
    """Return a record as YAML with every default written out, so that it means the same in a later version."""
    (plain,) = to_plain(declared, defaults=True).values()
    return yaml.safe_dump(plain, sort_keys=False, width=120, allow_unicode=True)
