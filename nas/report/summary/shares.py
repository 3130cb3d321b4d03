"""What a population chose, and how that changed while a search went on, at so many points."""

from __future__ import annotations

from nas.report.shares import panels
from nas.report.summary.loaded import Loaded
from nas.report.summary.summary import SharePanel

SHOWN, POINTS, WINDOW = 24, 200, 25
"""How many panels are given, at how many points, and over how many evaluations where the strategy has no population."""


def window_of(run: Loaded) -> int:
    """Return over how many of the last evaluations shares are counted: the strategy's population, where it has one."""
    return int(getattr(run.experiment.strategy, "population", WINDOW))


def shares_of(run: Loaded) -> list[SharePanel]:
    """Return the shares of the options among the last evaluations, structures first; empty where there are none to show."""
    architectures = [done.architecture for done in run.history.scored]
    total, window = len(architectures), window_of(run)
    if total < 2:
        return []
    at = sorted({*range(0, total, max(1, -(-total // POINTS))), total - 1})
    found = []
    for panel in panels(run.space, architectures)[:SHOWN]:
        shares = {label: values for label, values in panel.shares(window).items() if any(values)}
        percent = [[values[i] for i in at] for values in shares.values()]
        found.append(SharePanel(panel.title, list(shares), [i + 1 for i in at], percent))
    return found
