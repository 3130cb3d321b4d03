"""Local search: climb from a random architecture to better neighbours, and restart at every local optimum."""

from __future__ import annotations

from functools import lru_cache
from itertools import takewhile
from random import Random
from typing import Any, Literal

from nas.history import History, Proposal
from nas.records import Positive, digest, record
from nas.space import neighbours, sample
from nas.strategies.strategy import Strategy


@record
class LocalSearch(Strategy):
    """Evaluate the neighbours of a centre and move to a better one; without one, restart from the best of random `starts`.

    With `move` "best" all neighbours are evaluated before moving to the best; with "first" the first better one is the next
    centre. Neighbours are evaluated in random order, without those evaluated before. Source: White et al. 2020,
    arXiv:2005.02960, algorithm 1 ("best"), and its variant that queries until better. The paper starts from one random
    architecture, its released code (naszilla) from the best of 10.
    """

    move: Literal["first", "best"] = "first"
    starts: Positive = 1

    def propose(self, space: Any, history: History, rng: Random) -> Proposal | None:
        # The history is the state: the centre is the parent of the last proposal, or the best of the last starts.
        if history.proposals and history.proposals[-1].parents:
            centre = history.proposals[-1].parents[0]
        else:
            started = self._started(history)
            ended = [history.finished[number] for number in started if number in history.finished]
            scored = [done for done in ended if done.is_scored]
            if len(started) < self.starts or (len(ended) == self.starts and not scored):
                return Proposal(sample(space, rng), "start")
            if len(ended) < self.starts:
                return None
            centre = max(scored, key=history.rank).number
        while centre in history.finished and history.finished[centre].is_scored:
            better = self._better(history, centre)
            # With "best", evaluate all neighbours even where a better one is known, and wait for those in flight.
            if better is None or self.move == "best":
                for neighbour, name in _shuffled_neighbours(
                    space, history.digests[0], history.finished[centre].architecture
                ):
                    if name not in history.known:
                        return Proposal(neighbour, "neighbour", (centre,))
                if any(child not in history.finished for child in history.children.get(centre, ())):
                    return None
            if better is None:
                break
            centre = better
        return Proposal(sample(space, rng), "start") if centre in history.finished else None

    def _started(self, history: History) -> list[int]:
        """Return the numbers of the last proposals that are starts, at most `starts`, the last first."""
        numbers = range(len(history.proposals) - 1, -1, -1)[: self.starts]
        return list(takewhile(lambda number: not history.proposals[number].parents, numbers))

    def _better(self, history: History, centre: int) -> int | None:
        """Return the neighbour to move to: the best, or the first, that is better than the centre."""
        done = [history.finished[child] for child in history.children.get(centre, ()) if child in history.finished]
        level = history.rank(history.finished[centre])
        better = [each for each in done if each.is_scored and history.rank(each) > level]
        if not better:
            return None
        return (max(better, key=history.rank) if self.move == "best" else better[0]).number


@lru_cache(maxsize=64)
def _shuffled_neighbours(space: Any, salt: str, centre: Any) -> tuple[tuple[Any, str], ...]:
    """Return the neighbours with their digests, in an order that is the same in every call of this search."""
    found = [(neighbour, digest(neighbour)) for neighbour in neighbours(space, centre)]
    # Seeded by texts: the state of the strategy's `rng` differs from call to call.
    Random(f"{salt}/{digest(centre)}").shuffle(found)
    return tuple(found)
