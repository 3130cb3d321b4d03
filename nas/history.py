"""History: the proposals of a search and the result of each evaluation; values only."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nas.records import digest

REUSED = "reused"
"""The worker name of a proposal that took the scores of an equal architecture, evaluated before."""

Scores = Mapping[str, float]
"""The results of an evaluation, by name with unit: `validation_top1_percent`, `params`, `macs`, `seconds`, ..."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An architecture to evaluate, its origin (the operator that made it), and the evaluation numbers of its parents."""

    architecture: Any
    origin: str = "random"
    parents: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A proposal that was evaluated, with its scores or, where the evaluation failed, the reason."""

    number: int
    proposal: Proposal
    digest: str
    scores: Scores = field(default_factory=dict)
    failure: str | None = None
    worker: str = ""

    @property
    def architecture(self) -> Any:
        """The architecture that was evaluated."""
        return self.proposal.architecture


def read_objective(objective: str) -> tuple[str, float]:
    """Return the score that an objective names, and its sign: -1 where the name has a minus before it, to minimise."""
    return objective.removeprefix("-"), -1.0 if objective.startswith("-") else 1.0


class History:
    """All proposals by number, and their results.

    `objective` names the score to maximise or, with a minus before it, to minimise: then `sign` is -1. `scored` holds the
    successful evaluations in the order in which they finished, `ranked` the same from worst to best. `totals` sums each score.
    """

    def __init__(self, objective: str) -> None:
        self.objective, self.sign = read_objective(objective)
        self.proposals: list[Proposal] = []
        self.digests: list[str] = []
        self.in_flight: dict[int, Proposal] = {}
        self.finished: dict[int, Evaluated] = {}
        self.scored: list[Evaluated] = []
        self.ranked: list[Evaluated] = []
        self.failures: list[Evaluated] = []
        self.by_digest: dict[str, Evaluated] = {}
        self.known: dict[str, Any] = {}
        self.children: dict[int, list[int]] = {}
        self.totals: dict[str, float] = {}

    def start(self, proposal: Proposal) -> int:
        """Add a proposal and return its number. Equal architectures share one object."""
        number, name = len(self.proposals), digest(proposal.architecture)
        # Sharing saves memory, and keeps the caches that walks set on a record.
        same = self.known.setdefault(name, proposal.architecture)
        if same is not proposal.architecture:
            proposal = replace(proposal, architecture=same)
        self.proposals.append(proposal)
        self.digests.append(name)
        self.in_flight[number] = proposal
        for parent in proposal.parents:
            self.children.setdefault(parent, []).append(number)
        return number

    def finish(self, number: int, scores: Scores, worker: str = "") -> Evaluated:
        """Add the scores of a proposal, without the non-finite ones.

        The evaluation counts as failed where the objective's score is missing or not finite.
        """
        if self.objective not in scores:
            return self.fail(
                number, f"{self.objective} is missing: the scores are {', '.join(scores) or 'none'}", worker
            )
        if not math.isfinite(scores[self.objective]):
            return self.fail(number, f"{self.objective} is {scores[self.objective]}", worker)
        scores = {name: score for name, score in scores.items() if math.isfinite(score)}
        done = Evaluated(number, self.proposals[number], self.digests[number], scores, None, worker)
        self._close(done)
        self.by_digest[done.digest] = done
        self.scored.append(done)
        insort(self.ranked, done, key=self.value)
        for name, score in scores.items():
            self.totals[name] = self.totals.get(name, 0.0) + score
        return done

    def fail(self, number: int, reason: str, worker: str = "") -> Evaluated:
        """Add a failed evaluation, with its reason."""
        done = Evaluated(number, self.proposals[number], self.digests[number], {}, reason, worker)
        self._close(done)
        self.failures.append(done)
        return done

    def _close(self, done: Evaluated) -> None:
        del self.in_flight[done.number]
        self.finished[done.number] = done

    def value(self, evaluated: Evaluated) -> float:
        """Return the value that the search maximises."""
        return self.sign * evaluated.scores[self.objective]

    @property
    def best(self) -> Evaluated | None:
        """The best evaluation so far; the earliest of equal ones."""
        if not self.ranked:
            return None
        # `insort` puts equal values in the order of finishing, so step back to the first of them.
        top = self.value(self.ranked[-1])
        i = len(self.ranked) - 1
        while i and self.value(self.ranked[i - 1]) == top:
            i -= 1
        return self.ranked[i]
