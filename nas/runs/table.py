"""The evaluations of a run as a table: one row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nas.history import REUSED, Evaluated, History

Row = dict[str, Any]


def rows_of(history: History, describe: Callable[[Any], str]) -> list[Row]:
    """Return a row for every evaluation that ended, in the order of their numbers; all rows have the same columns.

    A score that an evaluation does not have is None. `state` is `ended`, `stopped`, `screened`, `reused` or `failed`.
    """
    scores = dict.fromkeys(name for done in (*history.scored, *history.screened) for name in done.scores)
    front = {done.number for done in history.front}
    rows = ((done, done.number in front) for _, done in sorted(history.finished.items()))
    return [_row(done, list(scores), on_front, describe) for done, on_front in rows]


def _row(done: Evaluated, scores: list[str], on_front: bool, describe: Callable[[Any], str]) -> Row:
    return {
        "number": done.number,
        "state": _state(done),
        **{name: done.scores.get(name) for name in scores},
        "epochs": done.epochs,
        "origin": done.proposal.origin,
        "parents": " ".join(map(str, done.proposal.parents)),
        "worker": done.worker,
        "failure": done.failure,
        "on_front": on_front,
        "digest": done.digest,
        "architecture": describe(done.architecture),
    }


def _state(done: Evaluated) -> str:
    if done.failure is not None:
        return "failed"
    if done.is_screened:
        return "screened"
    return "reused" if done.worker == REUSED else "stopped" if done.is_stopped else "ended"
