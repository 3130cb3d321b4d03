"""The share of each option among the last evaluations, over the course of a search, at a limited number of points."""

from __future__ import annotations

from nas.figures.shares import panels, window_of
from nas.report.summary.loaded import LoadedRun
from nas.report.summary.summary import SharePanel

SHOWN, POINTS = 24, 200
"""The maximum number of panels, and about how many points each has."""


def shares_of(run: LoadedRun) -> tuple[list[SharePanel], int]:
    """Return the shares of the options among the last evaluations, structures first, and the number of panels left out."""
    architectures = [done.architecture for done in run.history.scored]
    total = len(architectures)
    if total < 2:
        return [], 0
    window = window_of(run.experiment.strategy, total)
    # about POINTS evenly spaced evaluations, and always the last; -(-a // b) rounds up
    at = sorted({*range(0, total, max(1, -(-total // POINTS))), total - 1})
    found, every = [], panels(run.space, architectures)
    for panel in every[:SHOWN]:
        shares = {label: values for label, values in panel.shares(window).items() if any(values)}
        percent = [[values[i] for i in at] for values in shares.values()]
        found.append(SharePanel(panel.title, list(shares), [i + 1 for i in at], percent))
    return found, len(every) - len(found)
