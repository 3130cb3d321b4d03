"""Any sampler of Optuna as a strategy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from inspect import signature
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from nas.history import Evaluated, History, Proposal
from nas.records import RecordError, nearest, one_line, record
from nas.space import one_of
from nas.strategies.strategy import Strategy

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "TPESampler": {"multivariate": True, "warn_independent_sampling": False},
    "CmaEsSampler": {"warn_independent_sampling": False},
    "GPSampler": {"warn_independent_sampling": False},
    "QMCSampler": {"warn_independent_sampling": False, "warn_asynchronous_seeding": False},
}
"""Settings that differ from Optuna's defaults: of several objectives TPE is univariate there, and worse; choices below others are
sampled independently, which is no reason for a warning."""


@record
class Optuna(Strategy):
    """Sample with any sampler of Optuna, such as TPE, NSGA-II, Gaussian processes or quasi-random sequences.

    `sampler` is its name, as `TPE`, or its name with settings, as `{TPESampler: {n_startup_trials: 20}}`. Each choice is a
    parameter, suggested only where the choices above it open it; a choice among ascending numbers, as widths or depths, is an
    integer, any other is categorical. Evaluations in flight are running trials; failed ones are failed trials. What a sampler
    writes down about a trial or a study is kept in the journal, so that a resumed search goes on as it would have: without it
    NSGA-II would be random search. Source: Akiba et al. 2019, arXiv:1907.10902.
    """

    sampler: str | Mapping[str, Mapping[str, Any]] = "TPESampler"
    several_objectives: ClassVar[bool] = True

    def check(self, objectives: int = 1) -> None:
        """Make the sampler, and let it sample a space of one choice as often as shows what it lacks."""
        names = [f"score {i}" for i in range(objectives)]
        history, name = History(names), type(self._sampler(0)).__name__
        try:
            for number in range(3):
                proposal = self.propose(one_of("x", (1, 2, 3)), history, Random(number))
                history.finish(history.start(proposal), dict.fromkeys(names, 0.0))
        except (ValueError, TypeError, ImportError) as error:
            raise RecordError(
                f"{name} cannot sample for {objectives} objectives: {one_line(error)}", "sampler"
            ) from None

    def propose(self, space: Any, history: History, rng: Random) -> Proposal:
        key = "optuna", str(self.sampler)
        # the study lives as long as the history: what is new in the history is added to it, and nothing else
        study = history.fold(key, partial(_finish, history, space), _new_study(len(history.objectives)))
        study.add_asked(history, space)
        proposal: Proposal = study.ask(space, self._sampler(rng.getrandbits(32)))
        return proposal

    def _sampler(self, seed: int) -> BaseSampler:
        """Return the sampler. Raises RecordError where there is none of that name, or it does not have these settings."""
        try:
            from optuna import samplers
        except ImportError:
            raise RecordError("Optuna is not installed: pip install 'cellstack[optuna]'", "sampler") from None
        name, given = (
            (self.sampler, {}) if isinstance(self.sampler, str) else next(iter(self.sampler.items()), ("", {}))
        )
        known = [
            each for each in dir(samplers) if each.endswith("Sampler") and not each.startswith(("Base", "Partial"))
        ]
        name = f"{name}Sampler" if f"{name}Sampler" in known else name
        if name not in known:
            raise RecordError(f"Optuna has no sampler {name!r}: {nearest(name, known)}", "sampler")
        cls = getattr(samplers, name)
        settings = signature(cls).parameters
        for key in given or {}:
            if key not in settings:
                raise RecordError(f"{name} has no setting {key!r}: {nearest(key, settings)}", f"sampler.{name}.{key}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a sampler is experimental
                made: BaseSampler = cls(**{**SETTINGS.get(name, {}), "seed": seed, **(given or {})})
        except (TypeError, ValueError, ImportError) as error:
            raise RecordError(f"{name} cannot be made with these settings ({error})", f"sampler.{name}") from None
        return made


def _new_study(objectives: int) -> Any:
    """Return an empty study."""
    from nas.strategies.sampling.memory_study import MemoryStudy

    return MemoryStudy(objectives)


def _finish(history: History, space: Any, study: Any, done: Evaluated) -> Any:
    study.add_asked(history, space)
    study.finish(history, done)
    return study
