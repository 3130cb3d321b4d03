"""The schedulers of Ray Tune by their names."""

from __future__ import annotations

from ray.tune import schedulers
from ray.tune.schedulers import TrialScheduler

from nas.named import Named, made_of, split_named
from nas.records import RecordError, nearest
from nas.runtime.tune.trials import EPOCH

KNOWN = ("ASHAScheduler", "AsyncHyperBandScheduler", "HyperBandScheduler", "MedianStoppingRule")
"""The schedulers that stop or pause trainings; others change hyperparameters, which here belong to the architecture."""

WHERE = "executor.RayTune.scheduler"


def made_by_tune(named: Named) -> TrialScheduler:
    """Return a scheduler by its name, with settings or without; its times are in epochs. Raises RecordError for others."""
    name, given = split_named(named)
    if name not in KNOWN:
        raise RecordError(f"Ray Tune has no scheduler {name!r} that stops trainings: {nearest(name, KNOWN)}", WHERE)
    made: TrialScheduler = made_of(getattr(schedulers, name), given, {"time_attr": EPOCH}, WHERE)
    return made
