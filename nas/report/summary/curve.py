"""The anytime curve of a search: the best so far over evaluations and over seconds."""

from __future__ import annotations

from nas.evaluation.evaluator_chain import parts_in
from nas.evaluation.table import Table
from nas.history import Evaluated
from nas.report.summary.baseline import Spent, random_baseline
from nas.report.summary.loaded import LoadedRun
from nas.report.summary.summary import Baseline, Curve

RANDOM = ("random", "start")
"""The origins of proposals drawn from the whole space; "start" is where a local search begins."""


def curve_of(run: LoadedRun) -> tuple[Curve, str]:
    """Return the curve of a run with at least one score, and the reason why it has no baseline, or ""."""
    done = list(run.history.finished.values())
    seconds = _seconds(run, done)
    steps = _steps(run, done)
    found = _baseline(run, done, seconds[-1])
    curve = Curve(
        evaluations=[i + 1 for i, _ in steps],
        seconds=[seconds[i] for i, _ in steps],
        best=[run.value(best) for _, best in steps],
        number=[best.number for _, best in steps],
        clock="simulated" if run.simulated else "wall",
        baseline=found if isinstance(found, Baseline) else None,
    )
    return curve, "" if isinstance(found, Baseline) else found


def _seconds(run: LoadedRun, done: list[Evaluated]) -> list[float]:
    """Return the seconds after each evaluation; simulated seconds are summed, as a budget counts them."""
    if not run.simulated:
        ended = run.logs["search"].ended
        return [run.clock.worked(ended[each.number]) for each in done]
    total, seconds = 0.0, list[float]()
    for each in done:
        total += each.scores.get("seconds", 0.0)
        seconds.append(total)
    return seconds


def _steps(run: LoadedRun, done: list[Evaluated]) -> list[tuple[int, Evaluated]]:
    """Return (place in finishing order, best so far) of each improvement and of the last evaluation."""
    steps: list[tuple[int, Evaluated]] = []
    best: Evaluated | None = None
    for i, each in enumerate(done):
        if each.is_scored and (best is None or run.history.value(each) > run.history.value(best)):
            best = each
            steps.append((i, best))
    # the last evaluation repeats the best, so that the curve extends to the end of the run
    if steps and steps[-1][0] != len(done) - 1:
        steps.append((len(done) - 1, steps[-1][1]))
    return steps


def _baseline(run: LoadedRun, done: list[Evaluated], seconds: float) -> Baseline | str:
    drawn = [run.value(each) for each in done if each.is_scored and each.proposal.origin in RANDOM]
    rules = run.experiment.rules
    spent = Spent(len(done), seconds, rules.duplicates == "evaluate")
    table = next((each for each in parts_in(run.experiment.evaluator) if isinstance(each, Table)), None)
    return random_baseline(table, rules.objective, spent, drawn)
