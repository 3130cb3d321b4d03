"""Pruners of Optuna on the learning curves of a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import optuna
from optuna.pruners import BasePruner
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState

from nas.history import Objective
from nas.named import Named
from nas.strategies.sampling.made import made_by_optuna, quiet


@final
class PrunedCurves:
    """A study of Optuna in memory that follows the events of a journal, and the pruner that is asked about its curves.

    What a pruner writes down about a trial is a function of these events, so that a resumed search goes on as it would have.
    """

    def __init__(self, pruner: Named, objective: Objective) -> None:
        self.pruner: BasePruner = made_by_optuna("Pruner", pruner, "rules.pruner", {})
        self.objective, self.storage = objective, InMemoryStorage()
        self.trials: dict[int, int] = {}
        # Hyperband's pruner draws a trial's bracket by the name of its study
        with quiet():
            self.id = self.storage.create_new_study([StudyDirection.MAXIMIZE], "cellstack")
        self.study = optuna.load_study(study_name="cellstack", storage=self.storage, pruner=self.pruner)

    def follow(self, event: Mapping[str, Any]) -> bool:
        """Add an event of the journal; returns whether the evaluation is to be stopped after this report of an epoch."""
        if event["event"] == "report" and self.objective.score in event["scores"]:
            number = event["number"]
            if number not in self.trials:
                self.trials[number] = self.storage.create_new_trial(self.id)
            self.storage.set_trial_intermediate_value(self.trials[number], event["epoch"], self._value(event))
            return self.is_pruned(number)
        if event["event"] == "finish" and event["number"] in self.trials:
            self._end(self.trials[event["number"]], event)
        return False

    def is_pruned(self, number: int) -> bool:
        """Return whether the evaluation is to be stopped after the last epoch of its curve."""
        trial = self.storage.get_trial(self.trials[number])
        return bool(self.pruner.prune(self.study, trial))

    def _end(self, trial: int, event: Mapping[str, Any]) -> None:
        if "failure" in event:
            self.storage.set_trial_state_values(trial, TrialState.FAIL)
        else:
            state = TrialState.PRUNED if "epochs" in event else TrialState.COMPLETE
            self.storage.set_trial_state_values(trial, state, [self._value(event)])

    def _value(self, event: Mapping[str, Any]) -> float:
        score, sign = self.objective
        return float(sign * event["scores"][score])
