"""Fields: what a record may hold, by the annotations of its class, checked when the record is made.

An open decision (`Open`) may take the place of any value if each of its options fits. Lists become tuples, integers become
floats where the annotation asks for them, and numpy numbers become Python's. Every other value must match its annotation.
"""

from __future__ import annotations

import difflib
import sys
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from inspect import get_annotations
from numbers import Integral, Real
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

LONGEST = 800
"""The most characters of an error message; of a longer one, the middle is left out."""

MOST_NAMES = 24
"""The most names that a hint lists."""


class RecordError(ValueError):
    """A wrong value given by a user: a message of one line with the value, its place, and what to write instead.

    `where` is the place inside a file, such as `strategy.RegularizedEvolution.population`; empty where there is none.
    """

    def __init__(self, message: str, where: str = "") -> None:
        line = " ".join(message.splitlines())
        super().__init__(line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}")
        self.where = where


class WrongType(RecordError):
    """A value of another type than the annotation asks for."""


@dataclass(frozen=True, slots=True)
class Range:
    """Inclusive bounds of a number, written in a field's type: `Annotated[int, Range(1)]`."""

    least: float = float("-inf")
    most: float = float("inf")

    def holds(self, value: object) -> bool:
        """Return whether a value is in bounds; non-numbers, such as an open choice, always are."""
        return not isinstance(value, int | float) or self.least <= value <= self.most

    def check(self, value: object, where: str) -> None:
        """Raise RecordError where `value` is a number outside the bounds."""
        if not self.holds(value):
            upper = self.most < float("inf")
            bounds = f"from {self.least:g} to {self.most:g}" if upper else f"of at least {self.least:g}"
            raise RecordError(f"{where} is {value}: give a number {bounds}", where)


Positive = Annotated[int, Range(1)]
Natural = Annotated[int, Range(0)]
NonNegative = Annotated[float, Range(0)]
Fraction = Annotated[float, Range(0, 1)]


class Open(ABC):
    """A value that is not decided yet; it may take the place of any field of any record."""

    @abstractmethod
    def stand_ins(self) -> Iterator[Any]:
        """Yield values that it may become; together they contain every option."""


def shown(value: object, limit: int = 120) -> str:
    """Return a value as an error message shows it: on one line, at most `limit` characters and an ellipsis."""
    text = " ".join(f"the class {value.__name__}".split() if isinstance(value, type) else repr(value).split())
    return text if len(text) <= limit else f"{text[:limit]}..."


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint for an unknown name: the nearest known one, or the known ones, cut where they are many."""
    known = sorted(known)
    lowered = {each.lower(): each for each in known}
    if close := difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6):
        return f"did you mean {lowered[close[0]]!r}?"
    more = f" and {len(known) - MOST_NAMES} more" if len(known) > MOST_NAMES else ""
    return f"known are {', '.join(known[:MOST_NAMES]) or 'none'}{more}"


def unknown(value: object, known: Iterable[object], where: str) -> RecordError:
    """Return the error for a value that is not among the known ones."""
    return WrongType(f"{where or 'this'} is {shown(value)}: {nearest(str(value), map(str, known))}", where)


def wrong(value: object, expected: str, where: str) -> RecordError:
    """Return the error for a value of the wrong type; `expected` describes the right one, such as "a whole number"."""
    made = f", as {value.__name__}(...)" if isinstance(value, type) else ""
    return WrongType(f"{where or 'this'} is {shown(value)}: give {expected}{made}", where)


# ---------------------------------------------------------------------------------------------------- records


class FieldCheck(NamedTuple):
    """The check of one field. A value that is the default itself, or whose type is in `known`, passes without calling `fits`."""

    name: str
    default: object
    known: set[type]
    fits: Callable[[Any], bool]
    hint: Any


def field_checks(cls: type, defaults: Mapping[str, object]) -> tuple[tuple[FieldCheck, ...], bool]:
    """Return the checks of a record's fields, and whether all annotations resolved: one may name a class defined later."""
    checks, is_complete = [], True
    for name, default in defaults.items():
        try:
            hint = _hint(cls, name)
        except (NameError, AttributeError, KeyError):
            is_complete = False
            continue
        if (test := type_test(hint)) is not ANYTHING:
            checks.append(FieldCheck(name, default, test.known, test.fits, hint))
    return tuple(checks), is_complete


def _hint(cls: type, name: str) -> Any:
    """Return a field's annotation, evaluated in the module of the class that declares it."""
    owner = next(base for base in cls.__mro__ if name in get_annotations(base))
    text = get_annotations(owner)[name]
    names = {**vars(sys.modules[owner.__module__]), owner.__name__: owner}
    return eval(text, names) if isinstance(text, str) else text  # noqa: S307, our own annotations


# ---------------------------------------------------------------------------------------------------- values as they are


@dataclass(frozen=True, slots=True, eq=False)
class TypeTest:
    """The test of a value against an annotation; fast for right values, as records are made by the million.

    `known` collects the types whose every value fits, as they are met; `fits` tests any value.
    """

    fits: Callable[[Any], bool]
    known: set[type] = field(default_factory=set)


ANYTHING = TypeTest(lambda value: True)


@cache
def type_test(hint: Any) -> TypeTest:
    """Return the test of an annotation."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        ranges = [each for each in parts[1:] if isinstance(each, Range)]
        return _bounded(parts[0], ranges) if ranges else type_test(parts[0])
    if origin in (Union, types.UnionType):
        return _union([type_test(kind) for kind in parts])
    if origin is Literal:
        return _literal(parts)
    if origin is Sequence or (origin is tuple and parts[-1:] == (...,)):
        return _row(type_test(parts[0]))
    if origin is tuple:
        return _tuple([type_test(kind) for kind in parts])
    if origin is Mapping or origin is dict:
        return _mapping(type_test(parts[1]))
    if hint in _SCALARS:
        return _scalar(_SCALARS[hint])
    kind = origin or hint
    is_class = isinstance(kind, type) and kind not in (object, Any) and not getattr(kind, "_is_protocol", False)
    return _instance(kind) if is_class else ANYTHING


_SCALARS: dict[Any, set[type]] = {
    int: {int},
    float: {float},
    bool: {bool},
    str: {str},
    types.NoneType: {types.NoneType},
    None: {types.NoneType},
}
"""The exact types accepted for each scalar; a bool is not a number."""


def _opened(value: Any, fits: Callable[[Any], bool]) -> bool:
    """Whether a value is an open decision whose every option fits. The decision caches the tests that it passed."""
    if not isinstance(value, Open):
        return False
    passed: set[object] | None = getattr(value, "_passed", None)
    if passed is None:
        object.__setattr__(value, "_passed", passed := set())
    if fits not in passed and all(map(fits, value.stand_ins())):
        passed.add(fits)
    return fits in passed


def _scalar(kinds: set[type]) -> TypeTest:
    def fits(value: Any) -> bool:
        return type(value) in kinds or _opened(value, fits)

    return TypeTest(fits, kinds)


def _bounded(kind: Any, ranges: Sequence[Range]) -> TypeTest:
    if not ranges:  # the annotation has other metadata, such as that a text is a path
        return type_test(kind)
    inner, least = type_test(kind), max((each.least for each in ranges), default=float("-inf"))
    most, kinds = min((each.most for each in ranges), default=float("inf")), _SCALARS.get(kind, set())

    def fits(value: Any) -> bool:
        if type(value) in kinds:
            return bool(least <= value <= most)
        return _opened(value, fits) or (not kinds and inner.fits(value) and Range(least, most).holds(value))

    return TypeTest(fits)


def _union(tests: Sequence[TypeTest]) -> TypeTest:
    known: set[type] = set()

    def fits(value: Any) -> bool:
        if any(type(value) in test.known for test in tests):
            known.add(type(value))
            return True
        return any(test.fits(value) for test in tests) or _opened(value, fits)

    return ANYTHING if ANYTHING in tests else TypeTest(fits, known)


def _literal(values: tuple[Any, ...]) -> TypeTest:
    kinds = {type(value) for value in values}

    def fits(value: Any) -> bool:
        return (type(value) in kinds and value in values) or _opened(value, fits)

    return TypeTest(fits)


def _row(every: TypeTest) -> TypeTest:
    """Return the test of a tuple of any length."""

    def fits(value: Any) -> bool:
        if type(value) is not tuple:
            return _opened(value, fits)
        return every is ANYTHING or every.known.issuperset(map(type, value)) or all(map(every.fits, value))

    return TypeTest(fits)


def _tuple(tests: Sequence[TypeTest]) -> TypeTest:
    def fits(value: Any) -> bool:
        if type(value) is not tuple:
            return _opened(value, fits)
        return len(value) == len(tests) and all(test.fits(part) for test, part in zip(tests, value, strict=True))

    return TypeTest(fits)


def _mapping(every: TypeTest) -> TypeTest:
    def fits(value: Any) -> bool:
        return (isinstance(value, Mapping) and all(map(every.fits, value.values()))) or _opened(value, fits)

    return TypeTest(fits)


def _instance(kind: type) -> TypeTest:
    known: set[type] = set()

    def fits(value: Any) -> bool:
        if type(value) not in known and isinstance(value, kind):
            known.add(type(value))
        return type(value) in known or _opened(value, fits)

    return TypeTest(fits, known)


# ---------------------------------------------------------------------------------------------------- values made to fit


def conform(value: Any, hint: Any, where: str) -> Any:
    """Return a value converted to fit an annotation: lists become tuples, numpy numbers become Python's.

    Raises RecordError, with the place of the wrong part, where it cannot be converted.
    """
    if type_test(hint).fits(value):
        return value
    origin, parts = get_origin(hint), get_args(hint)
    if isinstance(value, Open):
        return _conform_open(value, hint, where)
    if origin is Annotated:
        inner = conform(value, parts[0], where)
        for bound in (each for each in parts[1:] if isinstance(each, Range)):
            bound.check(value if isinstance(value, int | float) else inner, where)
        return inner
    if origin in (Union, types.UnionType):
        return _conform_union(value, hint, where)
    if origin is Literal:
        return _conform_literal(value, hint, where)
    if origin is tuple or origin is Sequence:
        return _conform_tuple(value, hint, where)
    if origin in (Mapping, dict) and isinstance(value, Mapping):
        return {key: conform(part, parts[1], f"{where}.{key}") for key, part in value.items()}
    return _conform_scalar(value, hint, where)


_ALIKE: dict[Any, Any] = {int: Integral, float: Real, str: str}
"""The types that convert to a scalar: integers to a float, numpy numbers, members of IntEnum and StrEnum."""


def _conform_scalar(value: Any, hint: Any, where: str) -> Any:
    if type(value) is not bool and isinstance(value, _ALIKE.get(hint, ())):
        with suppress(OverflowError):  # an integer too large for a float
            return hint(value)
    raise wrong(value, expected(hint), where)


def _conform_open(value: Open, hint: Any, where: str) -> Any:
    """Return an open decision. Raises RecordError for its first option that does not fit."""
    for each in value.stand_ins():
        try:
            conform(each, hint, where)
        except RecordError as error:
            raise RecordError(f"{error}; it is an option of {shown(value)}", where) from None
    return value


def _conform_union(value: Any, hint: Any, where: str) -> Any:
    refused: RecordError | None = None
    for kind in get_args(hint):
        try:
            return conform(value, kind, where)
        except RecordError as error:
            if not isinstance(error, WrongType) or error.where != where:
                # Prefer an error in a part of the value, or of a bound, over "wrong type" for the whole: it names what to change.
                refused = error
    raise refused or wrong(value, expected(hint), where)


def _conform_literal(value: Any, hint: Any, where: str) -> Any:
    for each in get_args(hint):
        with suppress(RecordError):
            if each == conform(value, type(each), where):
                return each
    raise unknown(value, get_args(hint), where)


def _conform_tuple(value: Any, hint: Any, where: str) -> tuple[Any, ...]:
    kinds = get_args(hint) if get_origin(hint) is tuple else (*get_args(hint), ...)
    if not isinstance(value, list | tuple):
        raise wrong(value, expected(hint), where)
    if kinds[-1:] == (...,):
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise wrong(value, expected(hint), where)
    return tuple(conform(part, kind, f"{where}[{i}]") for i, (part, kind) in enumerate(zip(value, kinds, strict=True)))


_WORDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def expected(hint: Any) -> str:
    """Return what an annotation asks for, in words."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return expected(parts[0])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(expected, parts)))
    if origin is Literal:
        return " or ".join(map(repr, parts))
    if origin is tuple and parts[-1:] != (...,):
        return f"a tuple of {len(parts)}"
    if origin is tuple or origin is Sequence:
        return f"a tuple, each part {expected(parts[0])}"
    if hint in (types.NoneType, None):
        return "None"
    name = getattr(origin or hint, "__name__", str(hint))
    example = f" (as {hint.example})" if hasattr(hint, "example") else ""
    return _WORDS.get(hint) or f"{'an' if name[0] in 'AEIOU' else 'a'} {name}{example}"
