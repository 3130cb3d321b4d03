"""Samplers and pruners of Optuna by their names."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Literal

from nas.named import Named, made_of, split_named
from nas.records import RecordError, nearest

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "TPESampler": {"multivariate": True, "warn_independent_sampling": False},
    "CmaEsSampler": {"warn_independent_sampling": False},
    "GPSampler": {"warn_independent_sampling": False},
    "QMCSampler": {"warn_independent_sampling": False, "warn_asynchronous_seeding": False},
}
"""Settings that differ from Optuna's defaults: of several objectives TPE is univariate there, and worse; choices below others are
sampled independently, which is no reason for a warning."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from announcing studies within the block."""
    from optuna import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def made_by_optuna(kind: Literal["Sampler", "Pruner"], named: Named, where: str, further: Mapping[str, Any]) -> Any:
    """Return a sampler or pruner with `further` settings. Raises RecordError where Optuna has none of that name and settings."""
    try:
        home = import_module(f"optuna.{kind.lower()}s")
    except ImportError:
        raise RecordError("Optuna is not installed: pip install 'cellstack[optuna]'", where) from None
    name, given = split_named(named)
    known = [each for each in dir(home) if each.endswith(kind) and not each.startswith(("Base", "Partial"))]
    name = f"{name}{kind}" if f"{name}{kind}" in known else name
    if name not in known:
        raise RecordError(f"Optuna has no {kind.lower()} {name!r}: {nearest(name, known)}", where)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a sampler is experimental
        return made_of(getattr(home, name), given, {**SETTINGS.get(name, {}), **further}, where)
