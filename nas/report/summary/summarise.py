"""Summarise: from any run folder to its summary."""

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
"""The function that summarises a run, by the file that marks its folder."""


def summarise(folder: Path) -> RunSummary:
    """Return the summary of a run folder, finished, still running or cut off.

    Raises RecordError where it is no run folder, or a file in it is damaged.
    """
    for name, summarised in KINDS.items():
        if (folder / name).is_file():
            return summarised(folder)
    raise RecordError(
        f"{folder} is no run folder: it has no {', '.join(KINDS)}; give one that nas search, nas train or nas transfer made"
    )
