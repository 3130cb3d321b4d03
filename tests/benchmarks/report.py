"""Speed of `nas report`: a run of 20,000 evaluations read, summarised and written as a page, in CPU seconds and megabytes.

The strings of bits need no data; the table needs nasbench201.npz in the folder NAS_DATA. Of the DARTS space the journal is
written without training anything: what is read is as long as that of a real run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

from _timing import report

from nas.history import History, Proposal
from nas.journal import Journal, finished_event, started_event
from nas.records import RecordError
from nas.runs.experiment import load
from nas.runs.run import create_folder, plan, run
from nas.runtime.view import Silent
from nas.space import sample

EVALUATIONS = 20_000

EXPERIMENTS = {
    "strings of bits": "toy/ageing_evolution.yaml",
    "cells of a table": "nasbench201/regularized_evolution.yaml",
}


def main() -> None:
    experiments = Path(__file__).parents[2] / "experiments"
    for name, file in EXPERIMENTS.items():
        try:
            planned = plan(load(experiments / file, [f"rules.budget={{evaluations: {EVALUATIONS}}}"]))
        except RecordError as error:
            print(f"  {name} skipped: {error}")
            continue
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "run"
            create_folder(folder, planned)
            run(planned, folder, lambda stage: Silent())
            measure(name, folder)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "run"
        folder.mkdir()
        write_darts(folder, experiments / "cifar10" / "small_search.yaml")
        measure("DARTS cells", folder)


def write_darts(folder: Path, file: Path) -> None:
    """Write the run folder of a search for DARTS cells: random ones, each with a score drawn by chance."""
    shutil.copy(file, folder / "experiment.yaml")
    space, rng = load(file).open_space(), Random(0)
    history, journal = History("validation_top1_percent"), Journal(folder / "history.jsonl")
    for at in range(EVALUATIONS):
        number = history.start(Proposal(sample(space, rng)))
        journal.append(started_event(history, number, float(at)))
        scores = {"validation_top1_percent": 90 + rng.gauss(0, 1), "macs": 5e8 * rng.random(), "seconds": 1.0}
        journal.append(finished_event(history.finish(number, scores, "worker"), at + 1.0))
    journal.close()


def measure(name: str, folder: Path) -> None:
    """Report a run folder, as a user would; print how long the command worked and how large its page is."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "nas.cli", "report", str(folder)], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    report(f"{name}: report of {EVALUATIONS:,} evaluations", seconds, "CPU seconds", "< 10")
    report(f"{name}: page", (folder / "report.html").stat().st_size / 1e6, "MB", "< 8")


if __name__ == "__main__":
    main()
