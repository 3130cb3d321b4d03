"""A run's evaluations by number, such as runs/mine#17: candidates of a search, a training, trials of a transfer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.evaluation.candidate import architecture_of
from nas.family import StackedNetwork
from nas.history import History
from nas.journal import read_journal, replay
from nas.plain import from_plain
from nas.records import RecordError
from nas.runs.experiment import load
from nas.runs.written import FRONT, read_found, read_front
from nas.runtime.rules import Rules

JOURNALS = ("history.jsonl", "training.jsonl", "trials.jsonl")
"""The journals of a search, a training and a transfer; their evaluations are numbered."""


def journal_of(folder: Path) -> Path | None:
    """Return the journal of a run folder; None where it has none."""
    return next((folder / name for name in JOURNALS if (folder / name).is_file()), None)


def history_of(folder: Path, rules: Rules) -> History:
    """Return the history of a search as it is in its folder; empty where nothing was proposed yet."""
    journal = folder / "history.jsonl"
    if not journal.is_file():
        return History(rules.objective, rules.limits)
    return replay(journal, rules.objective, limits=rules.limits)


def front_member(folder: Path, place: int) -> StackedNetwork:
    """Return a member of the Pareto front of a run, counted from 0, the best of the first objective first.

    Raises RecordError where the run has no front, or a shorter one.
    """
    file = folder / FRONT
    if not file.is_file():
        raise RecordError(
            f"{folder} has no {FRONT}: give a run folder of a search of several objectives that has ended, or {folder}#0"
        )
    members = read_front(file)
    if place >= len(members):
        raise RecordError(
            f"the front of {folder} has {len(members)} members: give {folder}:front/0 to {len(members) - 1}"
        )
    return members[place]


def evaluation(folder: Path, number: int) -> StackedNetwork:
    """Return the architecture of evaluation `number` of a run, with its scores.

    A candidate of a search is stacked as during the search. Raises RecordError where the run has no such evaluation.
    """
    started, scores = _read(folder, number)
    if not (folder / "history.jsonl").is_file():
        return read_found(evaluation_file(folder, number).with_suffix(".json"))
    experiment = load(folder / "experiment.yaml")
    best = folder / "best.json"
    input = read_found(best).input if best.is_file() else experiment.task(experiment.open_space()).input
    architecture, network = (
        architecture_of(from_plain(started["architecture"])),
        experiment.network_options(experiment.network),
    )
    return StackedNetwork(experiment.space_name, architecture, network, input, scores)


def evaluation_file(folder: Path, number: int) -> Path:
    """Return the weights file that a training or a trial of a transfer writes; it may not exist yet.

    Raises RecordError where the run has no such evaluation, or is a search, which keeps no weights of its candidates.
    """
    started, _ = _read(folder, number)
    if (folder / "history.jsonl").is_file():
        raise RecordError(f"{folder}#{number} has no weights: a search keeps those of its best, {folder}")
    if (folder / "training.jsonl").is_file():
        return folder / "best.safetensors"
    return folder / f"{from_plain(started['architecture']).name}.safetensors"


def _read(folder: Path, number: int) -> tuple[Mapping[str, Any], Mapping[str, float]]:
    """Return the start event of an evaluation in its journal, and its scores, which are empty until it has succeeded."""
    journal = journal_of(folder)
    if journal is None:
        raise RecordError(f"{folder} is no run folder with evaluations: it has none of {', '.join(JOURNALS)}")
    events = [event for _, event in read_journal(journal)]
    starts = {event["number"]: event for event in events if event.get("event") == "start"}
    if number not in starts:
        numbers = f"from 0 to {max(starts)}" if starts else "later: nothing was evaluated yet"
        raise RecordError(f"{folder} has no evaluation {number}: give one {numbers}")
    scores = [
        event["scores"]
        for event in events
        if event.get("number") == number and "scores" in event and event["event"] == "finish"
    ]
    return starts[number], scores[-1] if scores else {}
