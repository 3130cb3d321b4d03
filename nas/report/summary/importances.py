"""The importance of each choice for the objective."""

from __future__ import annotations

from nas.report.summary.loaded import LoadedRun

FEWEST, MOST = 20, 2000
"""The fewest evaluations that say something, and the most that are taken, evenly over the search."""


def importances_of_choices(run: LoadedRun) -> tuple[dict[str, float], str]:
    """Return the importances by choice, in percent, the highest first, and the reason why there are none, or ""."""
    scored = run.history.scored
    if len(scored) < FEWEST:
        return {}, f"under {FEWEST} scored evaluations"
    try:
        # only here: it imports Optuna
        from nas.strategies.sampling.importances import importances_of
    except ImportError:
        return {}, "Optuna is not installed: pip install 'cellstack[optuna]'"
    found = importances_of(scored[:: -(-len(scored) // MOST)], run.history.objective, run.history.sign, run.space)
    return {name: 100 * value for name, value in found.items()}, "no choice is in every architecture"
