"""The schedulers of Ray Tune by their names."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from ray.tune import schedulers
from ray.tune.schedulers import TrialScheduler

from nas.records import RecordError, nearest
from nas.runtime.tune.trials import EPOCH

KNOWN = ("ASHAScheduler", "AsyncHyperBandScheduler", "HyperBandScheduler", "MedianStoppingRule")
"""The schedulers that stop or pause trainings; others change hyperparameters, which here belong to the architecture."""

WHERE = "executor.RayTune.scheduler"


def made_by_tune(named: str | Mapping[str, Mapping[str, Any]]) -> TrialScheduler:
    """Return a scheduler by its name, with settings or without; its times are in epochs. Raises RecordError for others."""
    name, given = (named, {}) if isinstance(named, str) else next(iter(named.items()), ("", {}))
    if name not in KNOWN:
        raise RecordError(f"Ray Tune has no scheduler {name!r} that stops trainings: {nearest(name, KNOWN)}", WHERE)
    cls = getattr(schedulers, name)
    settings = signature(cls).parameters
    for key in given or {}:
        if key not in settings:
            raise RecordError(f"{name} has no setting {key!r}: {nearest(key, settings)}", f"{WHERE}.{name}.{key}")
    try:
        made: TrialScheduler = cls(**{"time_attr": EPOCH, **(given or {})})
    except (AssertionError, TypeError, ValueError) as error:
        raise RecordError(f"{name} cannot be made with these settings ({error})", f"{WHERE}.{name}") from None
    return made
