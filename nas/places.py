"""Places: the record fields that name files and folders, so that a run works from any working directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_args, get_type_hints

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """The mark of a text field that names a file, a folder, or a pattern of files.

    `variable` is an environment variable that holds a folder. The folder is the value of a field that is None, and is
    searched for a relative path that is not in the working directory; a path in neither is kept as it is. With `or_name`, a
    text that is no file is another kind of name.
    """

    variable: str = ""
    or_name: bool = False

    def check(self, value: object, where: str) -> None:
        """Accept every text: the reader of the file finds whether it exists."""

    def resolved(self, value: str | None) -> str | None:
        """Return the absolute path of a value, or the value itself where it is no path."""
        above = os.environ.get(self.variable) if self.variable else None
        if value is None:
            return above and _absolute(above)
        here = _absolute(value)
        if Path(here).exists() or Path(value).expanduser().is_absolute():
            return here
        if above and Path(above, value).exists():
            return _absolute(str(Path(above, value)))
        return value if self.or_name or self.variable else here


FilePath = Annotated[str, Place()]
"""The path of a file or folder."""


def _absolute(path: str) -> str:
    return os.path.abspath(Path(path).expanduser())  # noqa: PTH100, a link stays a link


@cache
def _places(cls: type) -> Mapping[str, Place]:
    """Return the fields of a record class that are places."""
    hints = get_type_hints(cls, include_extras=True)
    return {name: place for name, hint in hints.items() if (place := _place_in(hint)) is not None}


def _place_in(hint: Any) -> Place | None:
    # The mark may be nested: Annotated[str, Place()] | None has it in its first argument.
    for part in (*getattr(hint, "__metadata__", ()), *get_args(hint)):
        if isinstance(part, Place):
            return part
        if (found := _place_in(part)) is not None and getattr(part, "__metadata__", None):
            return found
    return None


def _changed(tree: Any, change: Callable[[Place, str | None], str | None]) -> Any:
    """Return a record with `change` applied to its places, and to those of the records in it."""
    if isinstance(tree, tuple):
        return tuple(_changed(part, change) for part in tree)
    if not is_dataclass(tree) or isinstance(tree, type):
        return tree
    places, changed = _places(type(tree)), dict[str, Any]()
    for each in fields(tree):
        value = getattr(tree, each.name)
        new = change(places[each.name], value) if each.name in places else _changed(value, change)
        if new is not value and new != value:
            changed[each.name] = new
    return replace(cast(Any, tree), **changed) if changed else tree


def absolute(tree: T) -> T:
    """Return a record with absolute paths in its places, as resolved from this working directory."""
    return cast(T, _changed(tree, lambda place, value: place.resolved(value)))


def without_places(tree: Any) -> Any:
    """Return a record with empty places, so that the same data in another folder is equal."""
    return _changed(tree, lambda place, value: value if _is_name(place, value) else "")


def _is_name(place: Place, value: str | None) -> bool:
    return (
        place.or_name and value is not None and not Path(value).expanduser().is_absolute() and not Path(value).exists()
    )


def places_of(tree: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Yield the key, such as `evaluator.data.path`, and the absolute path of each place in a record."""
    if not is_dataclass(tree) or isinstance(tree, type):
        return
    places = _places(type(tree))
    for each in fields(tree):
        value, key = getattr(tree, each.name), f"{where}.{each.name}" if where else each.name
        if each.name not in places:
            yield from places_of(value, key)
        elif value is not None and not _is_name(places[each.name], value):
            yield key, places[each.name].resolved(value) or value


def is_there(path: Path) -> bool:
    """Whether a file or folder exists; a name too long for a path, as the text of a tree may be, does not."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_missing(path: str) -> bool:
    """Whether nothing is at a path; for a pattern of files, whether its folder is missing."""
    there = Path(path).expanduser()
    # Up to the first folder without a wildcard.
    while any(letter in str(there) for letter in "*?[{"):
        there = there.parent
    return not there.exists()
