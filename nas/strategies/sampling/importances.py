"""The importance of each choice of a space for the objective, by PED-ANOVA."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

from nas.history import Evaluated, History, Proposal
from nas.strategies.sampling.memory_study import MemoryStudy


def importances_of(scored: Sequence[Evaluated], objective: str, sign: float, space: Any) -> dict[str, float]:
    """Return the importance of each choice that every architecture has, the highest first; they sum to 1.

    It says how much a choice matters for being among the best tenth by the objective. Source: Watanabe et al. 2023,
    arXiv:2304.10255, as Optuna has it.
    """
    history, study = History(("-" if sign < 0 else "") + objective), MemoryStudy(1)
    for done in scored:
        history.finish(history.start(Proposal(done.architecture)), {objective: done.scores[objective]})
    study.add_asked(history, space)
    for done in history.scored:
        study.finish(history, done)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the evaluator is experimental
        found: dict[str, float] = get_param_importances(study.study, evaluator=PedAnovaImportanceEvaluator())
    # Optuna leaves equal ones in the order of a set
    return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))
