"""Records: frozen dataclasses that are written as plain data, read back, and named by their content.

A record class is declared with `@record` and identified by its class name, which is all that a file stores of it:
`SepConv(5)` is written as `{"SepConv": {"kernel": 5}}`. Only fields that differ from their defaults are written.
"""

from __future__ import annotations

import hashlib
import json
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib import import_module
from inspect import isabstract
from json.encoder import encode_basestring_ascii
from math import isfinite
from pkgutil import iter_modules
from typing import Any, TypeVar, cast, dataclass_transform

from nas.fields import FieldCheck, conform, field_checks, shown, wrong
from nas.fields import Fraction as Fraction
from nas.fields import Natural as Natural
from nas.fields import NonNegative as NonNegative
from nas.fields import Positive as Positive
from nas.fields import Range as Range
from nas.fields import RecordError as RecordError
from nas.fields import nearest as nearest

T = TypeVar("T")

FORMAT = 1
"""The version of the plain form. A file of a later version is refused."""

classes: dict[str, type] = {}
"""Every record class by its name, and by its former names."""


class SameNameError(RecordError, TypeError):
    """Two records with one name; the message names both files."""


@dataclass_transform(frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass, registered under its name and under the names in its `formerly`.

    Its `former_fields` maps former field names to today's, for files of older versions.
    """
    if not isinstance(cls, type):
        raise wrong(cls, "a class, as `@record` above `class Name:`", "record")
    cast(Any, cls).__post_init__ = _check_first(cls, getattr(cls, "__post_init__", None))
    made = dataclass(frozen=True)(cls)
    cast(Any, made).__getstate__ = _fields_only
    for name in (made.__name__, *getattr(made, "formerly", ())):
        known = classes.setdefault(name, made)
        if (known.__module__, known.__qualname__) != (made.__module__, made.__qualname__):
            raise SameNameError(f"two records are named {name}: one in {_file_of(known)}, one in {_file_of(made)}")
        classes[name] = made
    return made


def _file_of(cls: type) -> str:
    """Return the file of a class, or its module where there is no file."""
    return getattr(sys.modules.get(cls.__module__), "__file__", None) or cls.__module__


def _fields_only(self: Any) -> dict[str, Any]:
    """Return the state to pickle: the fields, without the caches that walks set on a record."""
    return {name: getattr(self, name) for name, _ in _fields(cast(Any, type(self)))}


def _check_first(cls: type, then: Callable[[Any], None] | None) -> Callable[[Any], None]:
    """Return the `__post_init__` of a record: it checks the fields by their annotations, then calls the class's own."""
    then = getattr(then, "__wrapped__", then)  # unwrap a parent's check: this one checks all fields
    checks: tuple[FieldCheck, ...] = ()
    is_complete = False

    def __post_init__(self: Any) -> None:
        nonlocal checks, is_complete
        if not is_complete:
            checks, is_complete = field_checks(cls, dict(_fields(cls)))
        for name, default, known, fits, hint in checks:
            value = getattr(self, name)
            if value is not default and type(value) not in known and not fits(value):
                object.__setattr__(self, name, conform(value, hint, f"{type(self).__name__}.{name}"))
        if then is not None:
            then(self)

    cast(Any, __post_init__).__wrapped__ = then
    return __post_init__


def import_all(package: str) -> None:
    """Import every module of a package, so that its records are registered."""
    for module in iter_modules(import_module(package).__path__, f"{package}."):
        import_module(module.name)


def record_classes(kind: Any) -> dict[str, Any]:
    """Return the registered records that are subclasses of `kind`, by name, without former names and abstract classes."""
    found = sorted((name, cls) for name, cls in classes.items() if issubclass(cls, kind) and name == cls.__name__)
    return {name: cls for name, cls in found if not isabstract(cls)}


@cache
def _fields(cls: type) -> tuple[tuple[str, Any], ...]:
    """Return (name, default) of each field; the default is MISSING where a field has none."""
    return tuple((f.name, f.default_factory() if callable(f.default_factory) else f.default) for f in fields(cls))


def to_plain(tree: object, defaults: bool = False) -> Any:
    """Return `tree` as dicts, lists and scalars: a record becomes `{class name: {field: value}}`.

    Fields equal to their default are left out, unless `defaults` is set.
    """
    kind = type(tree)
    if kind in (int, str, float, bool, types.NoneType):
        return tree
    if kind is tuple or kind is list:
        return [to_plain(part, defaults) for part in cast(Iterable[object], tree)]
    if isinstance(tree, Mapping):
        return {str(key): to_plain(value, defaults) for key, value in tree.items()}
    if kind.__name__ not in classes:
        raise TypeError(f"{shown(tree)} is a {kind.__name__}, not a record: declare the class with @record")
    return {kind.__name__: {name: to_plain(value, defaults) for name, value in written(tree, defaults)}}


def written(tree: object, defaults: bool = False) -> Iterator[tuple[str, object]]:
    """Yield (name, value) of the fields to write: those that differ from their defaults, or all."""
    for name, default in _fields(cast(Any, type(tree))):
        value = getattr(tree, name)
        # Types are compared too: 1 is not written as the default 1.0 or True.
        if defaults or (value is not default and (type(value) is not type(default) or value != default)):
            yield name, value


KEPT = 1000
"""The most characters of a text that is kept on its record: small trees, and the parts of large ones, recur."""


def plain_text(tree: Any) -> str:
    """Return the JSON text of `to_plain(tree)`, several times faster than by `json`, as parts keep their texts.

    Raises ValueError for numbers that are not finite, which JSON cannot express.
    """
    kind = type(tree)
    if kind is str:
        return encode_basestring_ascii(tree)
    if kind is int or (kind is float and isfinite(tree)):
        return repr(tree)
    if kind is tuple or kind is list:
        return f"[{', '.join([plain_text(part) for part in tree])}]"
    if kind is dict:
        texts = [f"{encode_basestring_ascii(str(key))}: {plain_text(value)}" for key, value in tree.items()]
        return f"{{{', '.join(texts)}}}"
    if kind.__name__ not in classes:
        return json.dumps(to_plain(tree), allow_nan=False)
    known: str | None = getattr(tree, "_plain_text", None)
    if known is None:
        known = f'{{"{kind.__name__}": {plain_text(dict(written(tree)))}}}'
        if len(known) <= KEPT:
            object.__setattr__(tree, "_plain_text", known)
    return known


def digest(tree: object) -> str:
    """Return the name of a content: 16 hexadecimal digits, equal for equal trees and in every process."""
    known: str | None = getattr(tree, "_digest", None)
    if known is None:
        known = hashlib.sha256(_canonical(tree).encode()).hexdigest()[:16]
        if type(tree).__name__ in classes:
            object.__setattr__(tree, "_digest", known)
    return known


def _canonical(tree: Any) -> str:
    """Return the plain form as shortest JSON text; values equal in Python (1, 1.0, True) give the same text."""
    kind = type(tree)
    if kind is int or kind is bool:
        return str(int(tree))
    if kind is tuple or kind is list:
        return f"[{','.join([_canonical(part) for part in tree])}]"
    if kind is float:
        return str(int(tree)) if tree.is_integer() else repr(tree)
    if kind.__name__ in classes:
        known: str | None = getattr(tree, "_canonical", None)
        if known is None:
            known = _canonical_record(tree)
            if len(known) <= KEPT:
                object.__setattr__(tree, "_canonical", known)
        return known
    if isinstance(tree, Mapping):
        return "{" + ",".join(f"{json.dumps(key)}:{_canonical(tree[key])}" for key in sorted(tree)) + "}"
    return json.dumps(to_plain(tree))


def _canonical_record(tree: Any) -> str:
    parts = []
    for name, default, spelt_default in _spelt_defaults(cast(Any, type(tree))):
        value = getattr(tree, name)
        if value is not default and (text := _canonical(value)) != spelt_default:
            parts.append(f'"{name}":{text}')
    return f'{{"{type(tree).__name__}":{{{",".join(parts)}}}}}'


@cache
def _spelt_defaults(cls: Any) -> tuple[tuple[str, Any, str | None], ...]:
    """Return name, default and canonical text of the default of each field, sorted by name."""
    known = sorted(_fields(cls), key=lambda field: field[0])
    return tuple((name, each, None if each is MISSING else _canonical(each)) for name, each in known)


def one_line(error: BaseException) -> str:
    """Return the message of an error on one line."""
    return " ".join(str(error).split())
