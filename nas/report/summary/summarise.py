"""Summarise: from any run folder to what a report says of it."""

from __future__ import annotations

from pathlib import Path

from nas.records import RecordError
from nas.report.summary.runs import summarise_training, summarise_transfer
from nas.report.summary.searches import summarise_search
from nas.report.summary.summary import RunSummary

KINDS = {
    "experiment.yaml": summarise_search,
    "training.yaml": summarise_training,
    "transfer.yaml": summarise_transfer,
}
"""How a run is summarised, by the file that its folder has."""


def summarise(folder: Path) -> RunSummary:
    """Return what a report says of a run folder, also of one that is being written, or was cut off.

    Raises RecordError where the folder is none of a run, or a file in it is damaged.
    """
    for name, summarised in KINDS.items():
        if (folder / name).is_file():
            return summarised(folder)
    raise RecordError(
        f"{folder} is no run folder: it has no {', '.join(KINDS)}; give one that nas search, nas train or nas transfer made"
    )
