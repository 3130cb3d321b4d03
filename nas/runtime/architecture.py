"""Architectures as people name them: a run folder, a file, or `space:name` for a published one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from nas.family import families, family, published
from nas.plain import read
from nas.record import RecordError, import_all
from nas.runtime.run import Found

NAMED = "a run folder, a JSON or YAML file that a run wrote, or space:name as darts:DARTS_V2"


def find_architecture(name: str) -> Found:
    """Return the architecture that `name` stands for. Raises RecordError where it stands for none."""
    path = Path(name)
    if name and path.is_dir():
        path /= "best.json"
        if not path.is_file():
            raise RecordError(f"{name} has no best.json yet: is it a run folder whose search has ended?")
    if path.is_file():
        return _read(path)
    if name in (spaces := families()) and spaces[name].published:
        raise RecordError(
            f"{name} is a space: give one of its networks, as {name}:{next(iter(spaces[name].published))}"
        )
    if ":" not in name:
        raise RecordError(f"there is no architecture {name!r}: give {NAMED}")
    known, architecture = published(name)
    family_name, _, member = name.partition(":")
    return Found(family_name, architecture, input=known.input_of(member))


def _read(path: Path) -> Found:
    for package in ("nas.operations", "nas.topology"):
        import_all(package)
    plain = _plain(path)
    if isinstance(plain, dict) and isinstance(inner := plain.get("Found"), dict) and "family" in inner:
        family(str(inner["family"]))  # the records of a space of one's own become known on import
    try:
        found: Found = read(plain, "", Found)
        family(found.family).describe(found.architecture)
    except (AttributeError, TypeError, KeyError):
        raise RecordError(f"{path}: Found.architecture is no architecture of {found.family}: give {NAMED}") from None
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None
    return found


def _plain(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise RecordError(
            f"{path} cannot be read as an architecture ({' '.join(str(error).split())}): give {NAMED}"
        ) from None
