"""Runs and architectures as JSON or CSV, for other programs."""

from __future__ import annotations

import csv
import json
import sys
import time
from pathlib import Path
from typing import Any

from nas.history import Evaluated
from nas.places import is_there
from nas.profiling import profile
from nas.records import RecordError, to_plain
from nas.runs.architecture import find_architecture
from nas.runs.evaluations import history_of
from nas.runs.run import load_run
from nas.runs.table import Row, rows_of
from nas.terminal.show_run import RunSnapshot, look


def print_json(what: str) -> None:
    """Print the state of a search, or an architecture with its costs, as JSON."""
    if is_there(Path(what) / "experiment.yaml"):
        plain = run_as_plain(look(Path(what), time.time()))
    else:
        found = find_architecture(what)
        cost = profile(found.tree(), found.input)
        plain = {**to_plain(found), "params": cost.params, "macs": cost.macs}
    print(json.dumps(plain, indent=1))


def run_as_plain(seen: RunSnapshot) -> dict[str, Any]:
    """Return what is known of a search as plain data."""
    history, rules = seen.history, seen.experiment.rules
    plain: dict[str, Any] = {"folder": str(seen.folder), "state": seen.state, "objective": to_plain(rules.objective)}
    if history is None:
        return plain
    counts = {
        "evaluations": history.evaluations,
        "in_flight": len(history.in_flight),
        "screened": len(history.screened),
        "failed": len(history.failures),
        "rejected": len(history.rejected),
        "reused": history.reused,
        "stopped": history.stopped,
        "epochs": history.epochs,
        "seconds": history.totals.get("seconds"),
    }
    budget = rules.budget and {name: value for name, value in vars(rules.budget).items() if value is not None}
    best = history.best and _evaluated(history.best)
    return {**plain, **counts, "budget": budget, "best": best, "front": [_evaluated(each) for each in history.front]}


def _evaluated(done: Evaluated) -> dict[str, Any]:
    return {"number": done.number, "scores": dict(done.scores), "architecture": to_plain(done.architecture)}


def print_table(folder: Path, as_json: bool) -> None:
    """Print a row for every evaluation of a search, as CSV or JSON. Raises RecordError where the folder is no search's."""
    rows = _rows(folder)
    if as_json:
        print(json.dumps(rows, indent=1))
    elif rows:
        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _rows(folder: Path) -> list[Row]:
    experiment = load_run(folder)
    if not (folder / "history.jsonl").is_file():
        raise RecordError(f"{folder} has no history.jsonl: nothing was evaluated yet")
    return rows_of(history_of(folder, experiment.rules), experiment.describe)
