"""Speed of a report's data: a run of 20,000 evaluations read, summarised and written as JSON, in CPU seconds and megabytes.

The strings of bits need no data; the table needs nasbench201.npz in the folder NAS_DATA.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from _timing import report

from nas.record import RecordError
from nas.report.summary.summarise import summarise
from nas.report.summary.summary import to_json
from nas.runtime.experiment import load
from nas.runtime.run import create_folder, plan, run
from nas.runtime.view import Silent

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
            run(planned, folder, lambda phase, total: Silent())
            measure(name, folder)


def measure(name: str, folder: Path) -> None:
    """Summarise a run folder, and print how long that took and how large the outcome is."""
    start = time.process_time()
    summary = summarise(folder)
    report(f"{name}: summary of {EVALUATIONS:,} evaluations", time.process_time() - start, "CPU seconds", "< 6")
    start = time.process_time()
    text = to_json([summary])
    report(f"{name}: JSON", time.process_time() - start, "CPU seconds", "< 1")
    report(f"{name}: JSON", len(text.encode()) / 1e6, "MB", "< 5")


if __name__ == "__main__":
    main()
