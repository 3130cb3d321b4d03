"""History: what a search has proposed, and how each proposal was evaluated; values only."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nas.records import digest

REUSED = "reused"
"""The worker of a proposal whose scores were those of an equal one before."""

Scores = Mapping[str, float]
"""What an evaluation found, by name with unit: `validation_top1_percent`, `params`, `macs`, `seconds`, ..."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """An architecture to evaluate: how it came about, and the numbers of the evaluations that it came from."""

    architecture: Any
    origin: str = "random"
    parents: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A proposal that was evaluated, its scores or, where it failed by itself, the reason."""

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
    """Return the score that an objective names, and what it is multiplied with to be maximised: -1 if a minus is before it."""
    return objective.removeprefix("-"), -1.0 if objective.startswith("-") else 1.0


class History:
    """All proposals by number, and what became of them.

    `objective` names the score to maximise; with a minus before it, to minimise: then `sign` is -1. `scored` holds the
    evaluations that succeeded in the order in which they finished, `ranked` the same from the worst to the best.
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
        """Add a proposal; return its number. Of equal architectures one object is kept."""
        number, name = len(self.proposals), digest(proposal.architecture)
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
        """Add the scores of a proposal. Those that are not finite are left out; without the objective's it is a failure."""
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
        """Add the reason for which a proposal has no scores."""
        done = Evaluated(number, self.proposals[number], self.digests[number], {}, reason, worker)
        self._close(done)
        self.failures.append(done)
        return done

    def _close(self, done: Evaluated) -> None:
        del self.in_flight[done.number]
        self.finished[done.number] = done

    def value(self, evaluated: Evaluated) -> float:
        """Return what is maximised."""
        return self.sign * evaluated.scores[self.objective]

    @property
    def best(self) -> Evaluated | None:
        """The best evaluation so far; of equal ones the first."""
        if not self.ranked:
            return None
        top = self.value(self.ranked[-1])
        i = len(self.ranked) - 1
        while i and self.value(self.ranked[i - 1]) == top:
            i -= 1
        return self.ranked[i]
