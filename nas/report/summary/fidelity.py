"""Trainings that end early: the rungs of a search, and the learning curves of its candidates."""

from __future__ import annotations

from nas.history import History
from nas.report.summary.candidates import LearningCurve, Rung

CURVES = 300
"""The most learning curves that are shown; of more, those of the best and an even choice of the others."""


def rungs_of(history: History) -> list[Rung]:
    """Return the rungs by their epochs; none where every training goes to the end of its recipe."""
    found = []
    for epochs in sorted({proposal.epochs for proposal in history.proposals if proposal.epochs is not None}):
        ended = [done for done in (*history.screened, *history.scored) if done.proposal.epochs == epochs]
        best = max((done for done in ended if done.is_scored), key=history.value, default=None)
        found.append(
            Rung(
                epochs,
                len(ended),
                sum(done.number in history.resumed for done in ended),
                sum(done.proposal.epochs == epochs for done in history.failures),
                best.scores[history.objective] if best else None,
                best.number if best else None,
            )
        )
    return found


def learning_of(history: History) -> tuple[list[LearningCurve], int]:
    """Return the learning curves of the objective, and how many more there are."""
    numbers = [
        number for number, curve in history.curves.items() if any(history.objective in each for each in curve.values())
    ]
    chosen = numbers
    if len(numbers) > CURVES:
        best = [
            number for number in (history.root(done.number) for done in reversed(history.ranked)) if number in numbers
        ]
        first = list(dict.fromkeys(best))[: CURVES // 2]
        others = [number for number in numbers if number not in set(first)]
        chosen = sorted([*first, *others[:: -(-len(others) // (CURVES - len(first)))]])
    return [_curve(history, number) for number in chosen], len(numbers) - len(chosen)


def _curve(history: History, root: int) -> LearningCurve:
    last = root
    while last in history.resumed:
        last = history.resumed[last]
    done = history.finished.get(last)
    curve = sorted((epoch, scores[history.objective]) for epoch, scores in history.curves[root].items())
    if done is None:
        end = "in flight"
    else:
        end = "failed" if done.failure is not None else "stopped" if done.epochs is not None else "ended"
    return LearningCurve(root, [epoch for epoch, _ in curve], [value for _, value in curve], end)  # type: ignore[arg-type]
