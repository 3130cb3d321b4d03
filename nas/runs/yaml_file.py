"""YAML files of users, read with the line of every key, so that errors can name it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from nas.fields import shown
from nas.plain import tag_of
from nas.records import RecordError, one_line

LARGEST = 100_000
"""The maximum number of values of a YAML text, with all aliases expanded."""


def read_yaml(text: str, what: str) -> tuple[yaml.Node | None, Any]:
    """Return the syntax tree and the plain data of a YAML text. Raises RecordError, naming `what`, where it cannot be read."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None and _size(node, what, {}) > LARGEST:
            raise RecordError(f"{what} has more than {LARGEST:,} values when its aliases are expanded: shorten it")
        return node, yaml.safe_load(text)
    except RecordError:
        raise
    except RecursionError:
        raise RecordError(f"{what} is nested too deeply to be read: make it flatter") from None
    except (
        yaml.YAMLError,
        ValueError,
        OverflowError,
    ) as error:  # bad dates, numbers that are too long
        raise RecordError(f"{what} is no valid YAML: {one_line(error)}") from None


def _size(node: yaml.Node, what: str, known: dict[int, int]) -> int:
    """Count the values in a node; those behind an alias count once for each alias."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if known.setdefault(id(node), 0) == 0:
        # -1 while its parts are counted: a node that is met again by then contains itself
        known[id(node)] = -1
        parts = [part for each in node.value for part in (each if isinstance(each, tuple) else (each,))]
        known[id(node)] = 1 + sum(_size(part, what, known) for part in parts)
    if known[id(node)] < 0:
        raise RecordError(f"{what} has a part that contains itself (*anchor within its own &anchor): write it out")
    return known[id(node)]


class YamlFile:
    """The plain data of a YAML file, with the line of each key."""

    def __init__(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise RecordError(f"there is no file {path}") from None
        except (OSError, ValueError) as error:  # ValueError: an impossible file name, or another encoding
            raise RecordError(f"{path} cannot be read: {error}") from None
        node, self.plain = read_yaml(text, str(path))
        self.path = path
        self._assigned: dict[str, str] = {}
        self._lines = dict(_places(node, "", path)) if node else {}
        if not isinstance(self.plain, dict):
            raise RecordError(
                f"{path} is a {type(self.plain).__name__}, not a mapping of keys: write `key: value` lines"
            )

    def override(self, assignments: Sequence[str]) -> None:
        """Apply `key=value` assignments to the file's data."""
        self.plain = _unshared(self.plain)
        self._assigned = override(self.plain, assignments)

    def has(self, place: str) -> bool:
        """Return whether a key is in the file, or assigned."""
        return place in self._lines or place in self._assigned

    def locate(self, error: RecordError) -> RecordError:
        """Return the error prefixed by its origin: the assignment, or the file and line of its key or the nearest key above."""
        for place, assignment in self._assigned.items():
            if error.where == place or error.where.startswith((f"{place}.", f"{place}[")):
                return RecordError(f"{shown(assignment)}: {error}", error.where)
        place = error.where
        # up from the key to the nearest one that is in the file: a.b[2], a.b, a
        while place and place not in self._lines:
            place = place.rpartition("[" if place.endswith("]") else ".")[0]
        line = f", line {self._lines[place]}" if place else ""
        return RecordError(f"{self.path}{line}: {error}", error.where)


def _unshared(plain: Any) -> Any:
    """Copy values that an anchor and its aliases share, so that changing one leaves the others as they are."""
    if isinstance(plain, dict):
        return {key: _unshared(value) for key, value in plain.items()}
    return [_unshared(value) for value in plain] if isinstance(plain, list) else plain


def _places(node: yaml.Node, where: str, path: Path) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            place = f"{where}.{key.value}" if where else str(key.value)
            line = key.start_mark.line + 1
            if key.value in seen:
                raise RecordError(f"{path}, line {line}: {place} is given twice: remove one")
            seen.add(key.value)
            yield place, line
            yield from _places(value, place, path)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield f"{where}[{i}]", item.start_mark.line + 1
            yield from _places(item, f"{where}[{i}]", path)


def override(plain: dict[str, Any], assignments: Sequence[str]) -> dict[str, str]:
    """Apply `key.below=value` assignments in place. Values are YAML; a class name within the key may be left out.

    Returns the assignments by the full key that they set. Raises RecordError where one is malformed, or its key leads into a
    value that has no keys.
    """
    places = {}
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        if not equals or not all(path.split(".")):
            raise RecordError(f"{shown(assignment)} sets nothing: write key=value, as recipe.epochs=10")
        at, place = plain, ""
        *above, last = path.split(".")
        for key in above:
            at, place = _through_class(at, key, place)
            at, place = _enter(at, key, assignment), _joined(place, key)
        at, place = _through_class(at, last, place)
        at[last] = read_yaml(value, shown(assignment))[1]
        places[_joined(place, last)] = assignment
    return places


def _joined(place: str, key: str) -> str:
    return f"{place}.{key}" if place else key


def _through_class(at: dict[str, Any], key: str, place: str) -> tuple[dict[str, Any], str]:
    """Step into `{ClassName: {...}}` where the key is not the class itself."""
    name = tag_of(at)
    if name and key not in at and (at[name] is None or isinstance(at[name], dict)):
        at[name] = at[name] or {}
        return at[name], _joined(place, name)
    return at, place


def _enter(at: dict[str, Any], key: str, assignment: str) -> dict[str, Any]:
    inner = at.setdefault(key, {})
    if isinstance(inner, str) and inner[:1].isupper():  # a class name alone
        inner = at[key] = {inner: {}}
    if not isinstance(inner, dict):
        raise RecordError(f"{shown(assignment)}: {key} is {shown(inner)}, which has no keys")
    return inner
