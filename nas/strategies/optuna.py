"""Any sampler of Optuna as a strategy."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

from nas.history import Evaluated, History, Proposal
from nas.records import RecordError, one_line, record
from nas.space import one_of
from nas.strategies.sampling.made import made_by_optuna
from nas.strategies.strategy import Strategy

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


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
        sampler: BaseSampler = made_by_optuna("Sampler", self.sampler, "sampler", {"seed": seed})
        return sampler


def _new_study(objectives: int) -> Any:
    """Return an empty study."""
    from nas.strategies.sampling.memory_study import MemoryStudy

    return MemoryStudy(objectives)


def _finish(history: History, space: Any, study: Any, done: Evaluated) -> Any:
    study.add_asked(history, space)
    study.finish(history, done)
    return study
