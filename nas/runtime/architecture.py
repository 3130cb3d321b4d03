"""Architectures as people name them: a run folder, a file, `space:name` for a published one, or a tree in notation."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import yaml

from nas.building import Node, Shape
from nas.choice import Choice
from nas.family import families, family, published
from nas.notation import parse
from nas.plain import read
from nas.records import RecordError, import_all, one_line, record

ELSE = "a JSON or YAML file that a run wrote, space:name as darts:DARTS_V2, or a tree in notation"
NAMED = f"a run folder, {ELSE}"

TYPED = "macro"
"""The family of a tree that was typed: its members are whole networks, as that is."""


@record
class Found:
    """An architecture that a run hands over: of which family, and how it was stacked for images of which shape."""

    family: str
    architecture: Any
    network: Mapping[str, Any] = field(default_factory=dict)
    input: tuple[int, int, int] = (3, 32, 32)
    scores: Mapping[str, float] = field(default_factory=dict)


def find_architecture(name: str) -> Found:
    """Return the architecture that `name` stands for. Raises RecordError where it stands for none."""
    if (typed := typed_tree(name)) is not None:
        return Found(TYPED, typed)
    path = Path(name)
    if name and path.is_dir():
        path /= "best.json"
        if not path.is_file():
            raise RecordError(f"{name} has no best.json: give a run folder whose search has ended, {ELSE}")
    if path.is_file():
        return _read_text(path) if path.suffix == ".txt" else read_found(path)
    if name in (spaces := families()) and spaces[name].published:
        raise RecordError(
            f"{name} is a space: give one of its networks, as {name}:{next(iter(spaces[name].published))}"
        )
    if ":" not in name:
        close = get_close_matches(name, spaces, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"give {NAMED}"
        raise RecordError(f"there is no architecture {name!r}: {hint}")
    known, architecture = published(name)
    family_name, _, member = name.partition(":")
    return Found(family_name, architecture, input=known.input_of(member))


def find_checkpoint(name: str) -> tuple[Found, Path]:
    """Return the network whose weights `name` stands for, a run folder or a .safetensors file, and the file.

    Raises RecordError where there are no weights, or nothing beside them says what they are of.
    """
    path = Path(name)
    weights = path / "best.safetensors" if path.is_dir() else path
    if not weights.is_file():
        raise RecordError(
            f"there are no weights {weights}: give a run folder whose training has ended, or a .safetensors file"
        )
    described = weights.with_suffix(".json")
    if weights.suffix != ".safetensors" or not described.is_file():
        raise RecordError(
            f"{weights} stands alone: give weights with the .json beside them that says what network they are of"
        )
    return read_found(described), weights


def read_found(path: Path) -> Found:
    """Return what a file holds that a run wrote. Raises RecordError where it holds no architecture."""
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
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        repair = (
            f"go on with nas resume {path.parent}, which writes it anew"
            if path.name == "best.json"
            else f"give {NAMED}"
        )
        reason = one_line(error)[:160]
        raise RecordError(f"{path} cannot be read as an architecture ({reason}): {repair}") from None


def _read_text(path: Path) -> Found:
    """Return the tree that a text file holds in our notation. Raises RecordError where it holds none."""
    try:
        tree = typed_tree(path.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeError, RecordError):
        tree = None
    if tree is None:
        raise RecordError(f"{path} holds no tree in the notation of this library: give {NAMED}")
    return Found(TYPED, tree)


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder; a name that is too long for one, as a tree's may be, has none."""
    try:
        return path.exists()
    except OSError:
        return False


def typed_tree(name: str) -> Node | None:
    """Return a tree that was typed in notation; None where the name is another's, as a word that is no node.

    Raises RecordError where it was meant as a tree and is none.
    """
    if is_there(Path(name)) or re.fullmatch(r"[\w.]+:\w*", name):
        return None
    try:
        tree = parse(name)
    except RecordError:
        if set("[{( ") & set(name):
            raise
        return None
    if not isinstance(tree, Node | Choice):
        raise RecordError(f"{name!r} is no node: type one in notation, as residual[conv3-64 x2] x3")
    return cast(Node, tree)


def shape_of(text: str) -> Shape:
    """Read the shape of an image, as 3,224,224 or 3x224x224. Raises RecordError where the text is none."""
    try:
        channels, height, width = (int(part) for part in text.replace("x", ",").split(","))
        if min(channels, height, width) < 1:
            raise ValueError
    except ValueError:
        raise RecordError(f"--input {text!r} is no shape: give channels, height and width, as 3,224,224") from None
    return channels, height, width
