"""Every experiment with published numbers, reproduced one after another; those that cannot be are left out with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.places import absolute
from nas.records import RecordError, one_line
from nas.runs.experiment import Experiment, load
from nas.runs.reproduce import Comparison, prepared, reproduce
from nas.runs.seeds import is_in_memory, trains
from nas.runtime.queue import SearchFailed

FAST_SECONDS = 60.0
"""The time that a fast experiment takes at most, by the header of its file."""

UNITS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Header:
    """The comments at the head of an experiment's file.

    `seeds` and `seconds` are those of the line on how it was run, such as "with 500 seeds, one CPU core, about 20 s"; None where
    there is no such line.
    """

    text: str
    seeds: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Listed:
    """An experiment with published numbers: how many seeds to run or, where it is left out, the reason."""

    name: str
    experiment: Experiment
    header: Header
    seeds: int
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class Reproduced:
    """An experiment with its comparisons, and the folder of its seeds; with a `failure` instead where its search fails."""

    listed: Listed
    compared: Sequence[Comparison]
    folder: Path
    failure: str = ""

    @property
    def holds(self) -> bool:
        """Whether it ran, and no number is outside its tolerance."""
        return not self.failure and all(each.holds is not False for each in self.compared)


def read_header(path: Path) -> Header:
    """Return the comments at the head of an experiment's file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    end = next((place for place, line in enumerate(lines) if not line.startswith("#")), len(lines))
    text = "\n".join(line.removeprefix("#").strip() for line in lines[:end])
    seeds, time = re.search(r"\b(?:with|for) (\d+) seeds\b", text), re.search(r"about ([\d.]+) (s|min|h)\b", text)
    return Header(text, int(seeds[1]) if seeds else None, float(time[1]) * UNITS[time[2]] if time and seeds else None)


def listed(files: Mapping[str, Path], seeds: int | None, slow: bool) -> list[Listed]:
    """Return the experiments of `files` that expect numbers, by name; `seeds` is by default what each header says.

    An experiment is run where its searches are in memory and train no networks, where its data are present and, unless `slow`,
    where its header says that it takes at most a minute.
    """
    found = [(name, absolute(load(path)), read_header(path)) for name, path in files.items()]
    return [
        Listed(name, experiment, header, seeds or header.seeds or 10, _reason(name, experiment, header, slow))
        for name, experiment, header in found
        if experiment.expect
    ]


def _reason(name: str, experiment: Experiment, header: Header, slow: bool) -> str:
    """Return why an experiment is left out; empty where it is not."""
    if not is_in_memory(experiment) or trains(experiment):
        return f"trains networks: nas reproduce {name}"
    if not slow and header.seconds is None:
        return "slow, as its header does not say how long it takes: --slow runs it"
    if not slow and header.seconds is not None and header.seconds > FAST_SECONDS:
        return f"slow, about {header.seconds / 60:g} min: --slow runs it"
    try:
        prepared(experiment)
    except RecordError as error:
        return one_line(error)
    return ""


def reproduce_listed(
    each: Listed, folder: Path, workers: int | None, done: Callable[[int], None] = lambda ended: None
) -> Reproduced:
    """Reproduce an experiment that is not left out, in its folder under `folder`; `done` is called after each seed."""
    place = folder_of(each.name, folder)
    try:
        return Reproduced(each, reproduce(each.experiment, each.seeds, done, place, workers), place)
    except SearchFailed as error:
        return Reproduced(each, (), place, one_line(error))


def folder_of(name: str, folder: Path) -> Path:
    """Return the folder, under that of all reproductions, of the seeds of an experiment."""
    return folder / name.replace("/", "-")
