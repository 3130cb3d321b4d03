"""Run folders that the tests of reports read: of a real run, or with a handwritten journal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.family import family
from nas.records import digest, to_plain
from nas.runs import experiment as experiments
from nas.runs.run import create_folder, plan, run
from nas.runtime.view import Silent

TOY = """\
space: {bits: {length: 12}}
strategy:
  RegularizedEvolution: {population: 10, sample: 4}
evaluator:
  NoisyBits: {noise: 0.01}
rules:
  budget: {evaluations: 60}
  objective: fitness
"""

FINAL = """\
final:
  objective: true_fitness
  beside_random: 2
"""


def carried_out(text: str, folder: Path) -> Path:
    """Run the experiment of a text in a folder."""
    file = folder.with_suffix(".yaml")
    file.write_text(text, encoding="utf-8")
    planned = plan(experiments.load(file))
    create_folder(folder, planned)
    run(planned, folder, lambda stage: Silent())
    return folder


def by_hand(folder: Path, lines: Sequence[Mapping[str, Any]], text: str = TOY) -> Path:
    """Make a run folder with a handwritten journal, whose lines are made by `start` and `finish`."""
    file = folder.with_suffix(".yaml")
    file.write_text(text, encoding="utf-8")
    create_folder(folder, plan(experiments.load(file)))
    journal = [{"cellstack": 1}, *lines]
    (folder / "history.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in journal), encoding="utf-8")
    return folder


def start(number: int, at: float, origin: str = "random", parents: Sequence[int] = (), bits: int | None = None) -> Any:
    """Return the journal line of a proposal: the bits of a number, by default its own, as architecture."""
    number_of_bits = number if bits is None else bits
    space = family("bits").space(12)
    architecture = type(space)(tuple(int(bit) for bit in f"{number_of_bits:012b}"))
    return {
        "event": "start",
        "number": number,
        "digest": digest(architecture),
        "origin": origin,
        "parents": list(parents),
        "architecture": to_plain(architecture),
        "at": at,
    }


def finish(number: int, at: float, worker: str, **scores: float) -> Any:
    """Return the journal line of the end of an evaluation, which failed if there are no scores."""
    outcome = {"scores": scores} if scores else {"failure": f"out of memory, {number}"}
    return {"event": "finish", "number": number, **outcome, "worker": worker, "at": at}
