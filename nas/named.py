"""Classes of other libraries, named in files with their settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from nas.records import RecordError, nearest

Named = str | Mapping[str, Mapping[str, Any]]
"""A class of another library: its name, as `TPE`, or its name with settings, as `{TPESampler: {n_startup_trials: 20}}`."""


def split_named(named: Named) -> tuple[str, Mapping[str, Any]]:
    """Return the name and the settings."""
    name, given = (named, {}) if isinstance(named, str) else next(iter(named.items()), ("", {}))
    return name, given or {}


def made_of(cls: Callable[..., Any], given: Mapping[str, Any], usual: Mapping[str, Any], where: str) -> Any:
    """Call a class with given settings, and with `usual` ones where they are not given.

    Raises RecordError, at a key below `where`, where it has no such setting or refuses one.
    """
    name = cls.__name__
    settings = signature(cls).parameters
    for key in given:
        if key not in settings:
            raise RecordError(f"{name} has no setting {key!r}: {nearest(key, settings)}", f"{where}.{name}.{key}")
    try:
        return cls(**{**usual, **given})
    except (AssertionError, TypeError, ValueError, ImportError) as error:
        raise RecordError(f"{name} cannot be made with these settings ({error})", f"{where}.{name}") from None
