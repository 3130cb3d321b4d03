"""A study of Optuna in memory that follows a history."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, final

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState, create_trial

from nas.choice import Choice
from nas.history import Evaluated, History, Proposal
from nas.membership import taken_decisions
from nas.space import resolve
from nas.strategies.sampling.made import quiet

KEPT = "optuna"
"""The key, in the notes of a proposal, of what the sampler wrote down."""


class _Storage(InMemoryStorage):
    """A storage whose last trial can be taken back, with all that a sampler wrote down for it."""

    def take_back(self, study: int, attributes: Mapping[str, Any]) -> None:
        """Remove the last trial of a study, and restore the study's attributes."""
        known = self._studies[study]
        trial = known.trials.pop()
        del self._trial_id_to_study_id_and_number[trial._trial_id]
        self._max_trial_id -= 1
        known.system_attrs = dict(attributes)


@final
class MemoryStudy:
    """The trials of a history. A question to a sampler leaves no trace in it: only proposals in the history become trials."""

    def __init__(self, objectives: int) -> None:
        self.objectives, self.storage = objectives, _Storage()
        self.trials: list[int] = []
        self.asked = 0

    @cached_property
    def study(self) -> optuna.Study:
        """The study, made at first use."""
        with quiet():
            return optuna.create_study(storage=self.storage, directions=["maximize"] * self.objectives)

    @property
    def id(self) -> int:
        """The number of the study in its storage."""
        return self.study._study_id

    def add_asked(self, history: History, space: Any) -> None:
        """Add the proposals that are new, as running trials."""
        for number, proposal in history.asked[self.asked :]:
            kept = proposal.notes.get(KEPT, {})
            for name, value in kept.get("study", {}).items():
                self.storage.set_study_system_attr(self.id, name, value)
            if number is not None:
                self.trials.append(self._running(space, proposal.architecture, kept.get("trial", {})))
        self.asked = len(history.asked)

    def _running(self, space: Any, architecture: Any, attributes: Mapping[str, Any]) -> int:
        taken = taken_decisions(space, architecture)
        template = create_trial(
            state=TrialState.RUNNING,
            params={name: decision for name, (_, decision) in taken.items()},
            distributions={name: distribution_of(choice) for name, (choice, _) in taken.items()},
            system_attrs=dict(attributes),
        )
        return self.storage.create_new_trial(self.id, template)

    def finish(self, history: History, done: Evaluated) -> None:
        """End a trial with its values, and how far it is outside each limit; one that was not trained to the end is pruned."""
        trial = self.trials[done.number]
        if not done.is_scored:
            self.storage.set_trial_state_values(trial, TrialState.FAIL)
            return
        for name, limit in history.limits.items():
            # Optuna's constraint: at most 0 where it holds
            self.storage.set_trial_system_attr(trial, f"constraints:{name}", limit.excess(done.scores[name]))
        if done.epochs is not None and self.objectives == 1:
            self.storage.set_trial_intermediate_value(trial, done.epochs, history.value(done))
            self.storage.set_trial_state_values(trial, TrialState.PRUNED, history.values(done))
        else:
            self.storage.set_trial_state_values(trial, TrialState.COMPLETE, history.values(done))

    def ask(self, space: Any, sampler: BaseSampler) -> Proposal:
        """Ask a sampler for a proposal; what it writes down is in the proposal's notes."""
        self.study.sampler = sampler
        # what a sampler writes down belongs to the proposal, and becomes part of the study when the proposal does
        before = self.storage.get_study_system_attrs(self.id)
        trial = self.study.ask()

        def decide(choice: Choice) -> int:
            if choice.arity == 1:
                return 0
            distribution = distribution_of(choice)
            if isinstance(distribution, IntDistribution):
                return trial.suggest_int(choice.name, distribution.low, distribution.high)
            return int(trial.suggest_categorical(choice.name, range(choice.arity)))

        architecture = resolve(space, decide)
        written = {
            "trial": dict(self.storage.get_trial_system_attrs(trial._trial_id)),
            "study": {
                name: value
                for name, value in self.storage.get_study_system_attrs(self.id).items()
                if name not in before or before[name] != value
            },
        }
        self.storage.take_back(self.id, before)
        notes = {name: values for name, values in written.items() if values}
        return Proposal(
            architecture, type(sampler).__name__.removesuffix("Sampler"), notes={KEPT: notes} if notes else {}
        )


def distribution_of(choice: Choice) -> BaseDistribution:
    """Return a choice as a parameter: an integer where its options are ascending numbers, else categorical."""
    options = choice.options
    is_number = choice.k is None and all(type(each) in (int, float) for each in options)
    if len(options) > 1 and is_number and list(options) == sorted(options):
        return IntDistribution(0, choice.arity - 1)
    return CategoricalDistribution(tuple(range(choice.arity)))
