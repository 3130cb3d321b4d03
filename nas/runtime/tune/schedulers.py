"""The schedulers of Ray Tune by their names."""

from __future__ import annotations

from typing import Any, final

from ray.tune import schedulers
from ray.tune.schedulers import HyperBandScheduler as TuneHyperBand
from ray.tune.schedulers import TrialScheduler

from nas.named import Named, made_of, split_named
from nas.records import RecordError, nearest
from nas.runtime.tune.trials import EPOCH

KNOWN = ("ASHAScheduler", "AsyncHyperBandScheduler", "HyperBandScheduler", "MedianStoppingRule")
"""The schedulers that stop or pause trainings; others change hyperparameters, which here belong to the architecture."""

WHERE = "executor.RayTune.scheduler"


@final
class HyperBandScheduler(TuneHyperBand):
    """Ray Tune's HyperBand, where results within an epoch, which have no score yet, decide nothing.

    Tune documents that a result without the score is skipped; its other schedulers do so, this one raises KeyError.
    """

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if EPOCH not in result:
            return str(self.CONTINUE)
        return str(super().on_trial_result(tune_controller, trial, result))


def made_by_tune(named: Named) -> TrialScheduler:
    """Return a scheduler by its name, with settings or without; its times are in epochs. Raises RecordError for others."""
    name, given = split_named(named)
    if name not in KNOWN:
        raise RecordError(f"Ray Tune has no scheduler {name!r} that stops trainings: {nearest(name, KNOWN)}", WHERE)
    cls = HyperBandScheduler if name == "HyperBandScheduler" else getattr(schedulers, name)
    made: TrialScheduler = made_of(cls, given, {"time_attr": EPOCH}, WHERE)
    return made
