"""Assertions of the checks."""

from __future__ import annotations

from nas.plain import from_plain
from nas.records import to_plain


def require(holds: bool, what: str) -> None:
    """Raise AssertionError with the sentence `what` where something does not hold, also under `python -O`."""
    if not holds:
        raise AssertionError(what)


def require_record(value: object, kind: type) -> None:
    """Raise AssertionError where a value is no record of class `kind`, or is not equal after a round trip to its plain form."""
    name = type(value).__name__
    require(isinstance(value, kind), f"{name} is no {kind.__name__}: derive it from {kind.__name__}")
    try:
        again = from_plain(to_plain(value), kind)
    except TypeError as error:
        raise AssertionError(f"{name} has no plain form ({error})") from None
    require(again == value, f"{name} is not equal to what is read back from its plain form: {again}")
