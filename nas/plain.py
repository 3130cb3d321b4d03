"""Reading: plain data from files and command lines become records again; every key and type is checked."""

from __future__ import annotations

import json
import types
from ast import literal_eval
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import is_dataclass, replace
from functools import cache, lru_cache
from inspect import Parameter, isabstract, signature
from typing import Annotated, Any, Literal, TypeGuard, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from nas.choice import one_of
from nas.fields import WrongType, expected, unknown, wrong
from nas.records import FORMAT, RecordError, classes, nearest, record_classes, to_plain

T = TypeVar("T")

SMALL = 200
"""The most characters of a record, such as an operation or an edge, for which equal records share one object."""


_NO_MAPPING = frozenset((list, tuple, str, int, float, bool, types.NoneType))


def is_mapping(plain: object) -> TypeGuard[Mapping[Any, Any]]:
    """Whether plain data are a mapping; as `isinstance`, and several times faster for what files hold."""
    kind = type(plain)
    return kind is dict or (kind not in _NO_MAPPING and isinstance(plain, Mapping))


def from_plain(plain: object, kind: type[T] | Any = object, where: str = "") -> T | Any:
    """Return the tree that `to_plain` wrote, checked against `kind`, a class or any other annotation.

    Where a record is expected, its class name may be left out if only one class is possible. A class name alone, as a string,
    is a record with all defaults. A mapping without a class name changes the default of its field, if that is a record:
    `{cutout: 0}` changes the cutout of the recipe's own augmentation, `{Augmentation: {cutout: 0}}` gives another one.
    Raises RecordError with the place (`where` and the keys below it).
    """
    origin = _origin(kind)
    if origin is Annotated:
        value = from_plain(plain, get_args(kind)[0], where)
        for bound in cast(Any, kind).__metadata__:
            bound.check(value, where)
        return value
    if is_mapping(plain) and len(plain) == 1:
        (form,) = plain
        if form == "Choice" and kind is not object:
            return from_plain(plain, object, where)
        if form in ("one_of", "log_uniform"):
            return _read_open(plain, kind, where)
    if origin in (Union, types.UnionType):
        return _read_union(plain, get_args(kind), where)
    if origin is Literal:
        return _one_of(plain, get_args(kind), where)
    if origin is tuple:
        return _read_tuple(plain, get_args(kind), where)
    if origin is Sequence:
        return _read_tuple(plain, (*get_args(kind), ...), where)
    if origin in (dict, Mapping):
        return _read_mapping(plain, get_args(kind)[1], where)
    if kind in _SCALARS:
        return _SCALARS[kind](plain, where)
    return _read_record(plain, kind, where)


def _read_open(plain: Mapping[str, Any], kind: Any, where: str) -> Any:
    """Read a value left open, named after its place: a list of options, or a range in steps of equal factors."""
    ((form, given),) = plain.items()
    if form == "log_uniform":
        arguments = read_arguments(_log_range, given, f"{where}.log_uniform")
        given = _log_range(**arguments)
    if not isinstance(given, list) or len(given) < 2:
        raise wrong(given, "a list of two options at least", f"{where}.{form}")
    options = [from_plain(each, kind, f"{where}.{form}[{i}]") for i, each in enumerate(given)]
    # the keys of the place, without class names: recipe.lr, optimizer.momentum
    keys = [key for key in where.split(".") if key[:1].islower()]
    return one_of(".".join(keys[-2:]), options)


def _log_range(low: float, high: float, steps: int = 7) -> list[float]:
    """Return numbers between two, each the same factor above the one before."""
    if not 0 < low < high or steps < 2:
        raise RecordError(f"low {low:g}, high {high:g}, steps {steps}: give 0 < low < high, and at least 2 steps")
    return [float(f"{low * (high / low) ** (i / (steps - 1)):.4g}") for i in range(steps)]


def _read_bool(plain: object, where: str) -> bool:
    if isinstance(plain, bool):
        return plain
    raise wrong(plain, "true or false", where)


def _read_int(plain: object, where: str) -> int:
    if isinstance(plain, int) and not isinstance(plain, bool):
        return plain
    raise wrong(plain, "a whole number", where)


def _read_float(plain: object, where: str) -> float:
    with suppress(ValueError, OverflowError):
        if isinstance(plain, int | float | str) and not isinstance(plain, bool):
            return float(plain)  # YAML 1.1 reads 3e-4, without a point, as a text
    raise wrong(plain, "a number", where)


def _read_str(plain: object, where: str) -> str:
    if isinstance(plain, str):
        return plain
    raise wrong(plain, "a text", where)


def _read_none(plain: object, where: str) -> None:
    if plain is not None:
        raise wrong(plain, "nothing (null)", where)


_SCALARS: dict[Any, Callable[[object, str], Any]] = {
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    str: _read_str,
    types.NoneType: _read_none,
}


def _read_union(plain: object, kinds: tuple[Any, ...], where: str) -> Any:
    if plain is None and types.NoneType in kinds:
        return None
    rest = [kind for kind in kinds if kind is not types.NoneType]
    refused: RecordError | None = None
    for kind in rest:
        # Prefer an error in a part of the value, or of a bound, over "wrong type" for the whole: it names what to change.
        try:
            return from_plain(plain, kind, where)
        except RecordError as error:
            if len(rest) == 1 or not isinstance(error, WrongType) or error.where != where:
                refused = error
    raise refused or wrong(plain, " or ".join(dict.fromkeys(map(expected, rest))), where)


def _one_of(plain: object, values: tuple[Any, ...], where: str) -> Any:
    if plain in values:
        return plain
    raise unknown(plain, values, where)


def _read_tuple(plain: object, kinds: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if not isinstance(plain, list | tuple):
        raise wrong(plain, "a list", where)
    if kinds[-1] is ... and kinds[0] in (int, str, bool) and all(type(part) is kinds[0] for part in plain):
        return tuple(plain)  # a fast path for long tuples of scalars, such as a string of bits
    if kinds[-1] is ...:
        kinds = (kinds[0],) * len(plain)
    if len(kinds) != len(plain):
        raise wrong(plain, f"a list of {len(kinds)}", where)
    return tuple(
        from_plain(part, kind, f"{where}[{i}]") for i, (part, kind) in enumerate(zip(plain, kinds, strict=True))
    )


def _read_mapping(plain: object, kind: Any, where: str) -> dict[str, Any]:
    if not is_mapping(plain):
        raise wrong(plain, "a mapping", where)
    return {str(key): from_plain(value, kind, _below(where, str(key))) for key, value in plain.items()}


def _read_record(plain: object, kind: Any, where: str) -> Any:
    if kind in (object, Any, tuple):
        return _read_untyped(plain, where)
    if not isinstance(kind, type):
        raise wrong(kind, "a class or another annotation", "kind")
    if isinstance(plain, str) and plain in classes:
        plain = {plain: {}}
    if is_mapping(plain) and len(plain) == 1 and (name := str(next(iter(plain)))) in classes:
        cls = classes[name]
        if not issubclass(cls, kind):
            raise wrong(name, f"a {kind.__name__}: {_names(kind)}", where)
        return _read_named(cls, next(iter(plain.values())), _below(where, name))
    if is_mapping(plain) and is_dataclass(kind) and not isabstract(kind):
        return read_call(cast(Any, kind), plain, where)
    if not isinstance(plain, str | Mapping):
        raise wrong(plain, expected(kind), where)
    name = plain if isinstance(plain, str) else next(iter(plain), "")
    raise RecordError(f"{where or 'this'} names no {kind.__name__}: {nearest(str(name), record_classes(kind))}", where)


def _read_named(cls: type, fields: object, where: str) -> Any:
    """Read a record of a class; equal small ones share one object, as a journal holds a million of them."""
    text = repr(fields)  # keeps 1, 1.0 and true apart
    try:
        # an open choice is named after its place
        is_shared = (
            len(text) <= SMALL and not _holds_mapping(cls) and "one_of" not in text and "log_uniform" not in text
        )
        return _read_small(cls, text) if is_shared else read_call(cls, fields, where)
    except (ValueError, SyntaxError):  # no literal (inf), or wrong: read again, so that the error has its place
        return read_call(cls, fields, where)


@cache
def _holds_mapping(cls: type) -> bool:
    """Whether a field is a mapping, which is mutable and must not be shared."""
    return any(_origin(hint) in (dict, Mapping) for hint in _hints(cls).values())


@lru_cache(maxsize=4096)
def _read_small(cls: type, text: str) -> Any:
    return read_call(cls, literal_eval(text))


def _names(kind: type) -> str:
    return ", ".join(record_classes(kind)) or "none is known"


def _read_untyped(plain: object, where: str) -> Any:
    """Read plain data that carries its own class names; lists become tuples."""
    if isinstance(plain, list | tuple):
        return tuple(_read_untyped(part, f"{where}[{i}]") for i, part in enumerate(plain))
    if not is_mapping(plain):
        return plain
    name = str(next(iter(plain), ""))
    if len(plain) == 1 and name in classes:
        return _read_named(classes[name], plain[name], _below(where, name))
    raise RecordError(f"{where or 'this'} names no record: {nearest(name, classes)}", where)


_origin: Callable[[Any], Any] = cache(get_origin)


@cache
def _hints(made: Any) -> dict[str, Any]:
    return get_type_hints(made, include_extras=True)


@cache
def _parameters(made: Any) -> Mapping[str, Parameter]:
    return signature(made).parameters


def read_call(made: Callable[..., T], plain: object, where: str = "") -> T:
    """Call a record class or a typed function with arguments from plain data; each key and type is checked."""
    return _called(made, read_arguments(made, plain, where), where)


def _called(made: Callable[..., T], arguments: Mapping[str, Any], where: str) -> T:
    """Call with checked arguments; an error of the call itself gets its place."""
    try:
        return made(**arguments)
    except RecordError as error:
        raise RecordError(f"{where}: {error}" if where else str(error), where) from None


def read_arguments(
    made: Callable[..., Any], plain: object, where: str, supplied: Collection[str] = (), partial: bool = False
) -> dict[str, Any]:
    """Return the checked arguments of a call from plain data; the parameters in `supplied` may not be among them.

    With `partial` parameters without a default may be missing.
    """
    parameters = {name: each for name, each in _parameters(made).items() if name not in supplied}
    if plain is None:
        plain = {}
    if not is_mapping(plain):
        raise wrong(plain, f"a mapping of {', '.join(parameters)}", where)
    former: Mapping[str, str] = getattr(made, "former_fields", {})
    plain = {former.get(key, key): value for key, value in plain.items()} if former else plain
    upgrade: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = getattr(made, "upgrade", None)
    plain = upgrade(plain) if upgrade else plain
    for key in plain:
        if key not in parameters:
            place = _below(where, str(key))
            raise RecordError(f"{place}: no such key; {nearest(str(key), parameters)}", place)
    for name, parameter in parameters.items():
        if parameter.default is Parameter.empty and name not in plain and not partial:
            raise RecordError(f"{_below(where, name)} is missing: give it a value", where)
    hints = _hints(made)
    return {
        key: _taken_away(hints[key])
        if value is None and parameters[key].default is not Parameter.empty and _is_collection(hints[key])
        else _read_changed(value, parameters[key].default, hints[key], _below(where, key))
        for key, value in plain.items()
    }


def _read_changed(plain: object, default: object, kind: Any, where: str) -> Any:
    """Read a value; a mapping without a class name changes the record that is the default of its place."""
    if not is_mapping(plain) or not is_dataclass(default) or classes.get(type(default).__name__) is None:
        return from_plain(plain, kind, where)
    if tag_of(plain):
        return from_plain(plain, kind, where)
    changes = read_arguments(type(default), plain, where, partial=True)
    return _called(lambda **changed: replace(cast(Any, default), **changed), changes, where)


def tag_of(plain: Mapping[Any, Any]) -> str:
    """Return the class name in the plain form of a record, known or misspelt; empty where it is left out."""
    name = next(iter(plain), "")
    return name if len(plain) == 1 and isinstance(name, str) and name[:1].isupper() else ""


@cache
def _is_collection(hint: Any) -> bool:
    """Whether a field holds any number of values, so that `null` empties it."""
    origin = _origin(hint)
    return origin in (dict, Mapping, Sequence) or (origin is tuple and get_args(hint)[-1:] == (...,))


def _taken_away(hint: Any) -> Any:
    return {} if _origin(hint) in (dict, Mapping) else ()


def _below(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def write(tree: object) -> str:
    """Return `tree` as JSON text with the format's version, to be read by `read`."""
    return json.dumps({"cellstack": FORMAT, **to_plain(tree)}, indent=1) + "\n"


def read(plain: object, where: str, kind: type[T] | Any = object) -> T | Any:
    """Return the tree of a file; its version may be missing, and must not be newer than this library."""
    if isinstance(plain, Mapping) and "cellstack" in plain:
        version = plain["cellstack"]
        if not isinstance(version, int) or version > FORMAT:
            written = f"{where}: written" if where else "written"
            raise RecordError(
                f"{written} in format {version}, and this library reads up to {FORMAT}: upgrade cellstack"
            )
        plain = {key: value for key, value in plain.items() if key != "cellstack"}
    try:
        return from_plain(plain, kind, where)
    except RecursionError:
        raise RecordError(f"{where or 'the tree'} is nested too deep to be read: give one of fewer levels") from None
