"""The journal of a reproduction in memory: each seed's result as a line, so that an interrupted reproduction goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from nas.journal import Journal, read_journal
from nas.own import file_of, is_path
from nas.places import without_places
from nas.records import RecordError
from nas.runs.experiment import Experiment, load
from nas.runs.folder import provenance, write_declared
from nas.runs.run import SearchPlan, as_begun, resolved
from nas.runs.run_data import FILE as DATA
from nas.runs.run_data import read_data, write_data
from nas.runs.seeds import Anytime, SeedResult, trains

DECLARED = "reproduction.yaml"
"""The file of the experiment, with every option written out."""

SEEDS = "seeds.jsonl"
"""The file with a line for each seed that has ended."""


@contextmanager
def opened(folder: Path, planned: SearchPlan) -> Iterator[Journal]:
    """Make the folder of a reproduction, or take one up, and keep its journal open.

    Raises RecordError where the folder has seeds with other settings, data or code of the user's, or another process writes it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("seed-*/experiment.yaml")) or (folder / "experiment.yaml").exists():
        raise other_runs(folder, "runs of another kind")
    code = _code(planned.experiment)
    with closing(Journal(folder / SEEDS)) as journal:
        if (folder / DECLARED).is_file() and (begun := _first(folder / SEEDS)) is not None:
            _hold_to(folder, planned, begun, code)
        else:
            write_declared(folder / DECLARED, resolved(planned), provenance())
            write_data(folder, planned.data)
            journal.append({"event": "begin", "code": code})
        yield journal


def taken_up(folder: Path, planned: SearchPlan) -> SearchPlan:
    """Return the plan with the number of threads that trainings had when the reproduction in the folder began."""
    if not trains(planned.experiment) or not (folder / DECLARED).is_file():
        return planned
    return as_begun(planned, load(folder / DECLARED))


def _hold_to(folder: Path, planned: SearchPlan, begun: Mapping[str, Any], code: Mapping[str, str]) -> None:
    """Raise RecordError where a seed would not be run as those that are in the folder."""
    if _settings(load(folder / DECLARED)) != _settings(resolved(planned)):
        raise other_runs(folder, "seeds with other settings")
    before = read_data(folder)
    if before is None or before.changes(planned.data):
        changes = before and before.changes(planned.data)
        raise other_runs(folder, f"seeds with other data ({changes or f'{DATA} is missing'})")
    changed = [name for name, digest in begun.get("code", {}).items() if code.get(name) != digest]
    if changed:
        raise other_runs(folder, f"seeds of {changed[0]} as it was before its last change")


def other_runs(folder: Path, what: str) -> RecordError:
    """Return the error of a folder whose runs are not those of the plan."""
    return RecordError(f"{folder} has {what}: give another --run-dir, or remove it")


def _settings(experiment: Experiment) -> Any:
    """Return what decides the results of a seed: not the seed itself, nor what is expected, nor where the data are."""
    return without_places(replace(experiment, rules=replace(experiment.rules, seed=0), expect={}))


def _code(experiment: Experiment) -> dict[str, str]:
    """Return the digests of the user's own modules."""
    files = {name: Path(name) if is_path(name) else file_of(name) for name in experiment.imports}
    return {name: sha256(file.read_bytes()).hexdigest() for name, file in files.items() if file is not None}


def _first(path: Path) -> dict[str, Any] | None:
    return next((event for _, event in read_journal(path)), None)


def keep(journal: Journal, seed: int, result: SeedResult) -> None:
    """Write the result of a seed."""
    journal.append({"event": "seed", "seed": seed, "scores": dict(result.scores), **asdict(result.anytime)})


def kept(folder: Path) -> dict[int, SeedResult]:
    """Return the results of the seeds that have ended, in the order of the seeds; also while others are running.

    Raises RecordError where the journal is damaged.
    """
    found: dict[int, SeedResult] = {}
    for line, event in read_journal(folder / SEEDS):
        if event.get("event") != "seed":
            continue
        try:
            curve = Anytime(event["evaluations"], event["seconds"], event["best"], event.get("tests", {}))
            found[event["seed"]] = SeedResult(event["scores"], curve)
        except KeyError as error:
            raise RecordError(f"{folder / SEEDS}, line {line}: damaged ({error} is missing): remove the line") from None
    return dict(sorted(found.items()))
