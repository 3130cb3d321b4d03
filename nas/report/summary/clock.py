"""The clock of a run: seconds since its first event, with or without pauses."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import inf
from typing import final

from nas.report.summary.journal import Log, Work

PAUSE_SECONDS = 60.0
"""A longer time without any work is a pause: the run was stopped, and resumed later."""


@final
class Clock:
    """A clock that starts at a run's first proposal; `pauses` are (from, to) without any work, in seconds since then."""

    def __init__(self, logs: Iterable[Log], works: Iterable[Work]) -> None:
        logs = list(logs)
        times = [at for log in logs for at in (*log.proposed[:1], *log.proposed[-1:], *log.ended.values())]
        self.begin, self.last = min(times, default=0.0), max(times, default=0.0)
        # the time of the first resumption: see _pauses
        resumed = min((at for log in logs for at in log.again.values()), default=inf)
        self.pauses = self._pauses(sorted((work.begin, work.end) for work in works), resumed)
        self._ends = [end for _, end in self.pauses]
        self._paused = [0.0, *accumulate(end - start for start, end in self.pauses)]

    def _pauses(self, intervals: Sequence[tuple[float, float]], resumed: float) -> list[tuple[float, float]]:
        found: list[tuple[float, float]] = []
        # a wait before the first work counts as a pause only where a resumed run did all the work
        until = self.begin if all(begin >= resumed for begin, _ in intervals) else intervals[0][1]
        for begin, end in intervals:
            if begin - until > PAUSE_SECONDS:
                found.append((until - self.begin, begin - self.begin))
            until = max(until, end)
        return found

    def since(self, at: float) -> float:
        """Return the seconds from the first event to the Unix time `at`, pauses included."""
        return at - self.begin

    def worked(self, at: float) -> float:
        """Return the seconds from the first event to the Unix time `at`, pauses excluded."""
        seconds = at - self.begin
        over = bisect_right(self._ends, seconds)
        inside = self.pauses[over] if over < len(self.pauses) else None
        # inside a pause the clock stands still at the pause's begin; _paused[n] is the length of the first n pauses
        return min(seconds, inside[0] if inside else seconds) - self._paused[over]
