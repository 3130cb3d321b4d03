"""Page: the summaries of runs and the scripts that draw them, as one HTML file that makes no network request."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from html import escape
from importlib import metadata, resources
from pathlib import Path
from string import Template

from nas.files import write_atomically
from nas.records import RecordError
from nas.report.html.colours import HUES, line_styles
from nas.report.summary.summary import RunSummary, to_json

SCRIPTS = (
    *("echarts.min", "core", "chart", "save", "head", "progress", "lineage", "shares", "epochs", "supernets", "pareto"),
    *("objectives", "fidelity"),
    *("workers", "columns", "table", "training", "compare", "main"),
)
"""The scripts of the page, in load order: a later script uses what an earlier one declares."""

MARK = '<meta name="generator" content="Cellstack report">'
"""The tag by which a report is recognised among other files."""


def write_page(path: Path, summaries: Sequence[RunSummary], may_replace: bool = False) -> None:
    """Write the report of some runs; an existing report is replaced.

    Raises RecordError where `path` is a folder, or another file and not `may_replace`.
    """
    check_target(path, may_replace)
    text = render(summaries)  # a folder name that is not UTF-8 leaves surrogates in the text
    write_atomically(path, lambda temporary: temporary.write_text(text, "utf-8", "surrogateescape"))


def check_target(path: Path, may_replace: bool, repair: str = "give --force to replace it, or another --out") -> None:
    """Raise RecordError, with the repair, where `path` is a folder, or a file that is no report and not `may_replace`."""
    if path.is_dir():
        raise RecordError(f"{path} is a folder: give a file, as {path / 'report.html'}")
    if path.exists() and not may_replace and MARK.encode() not in path.read_bytes()[:2000]:
        raise RecordError(f"{path} exists and is no report: {repair}")


def render(summaries: Sequence[RunSummary]) -> str:
    """Return the page. Its content security policy forbids all requests, and all scripts but the page's own."""
    script = "\n".join(_asset(f"{name}.js") for name in SCRIPTS)
    # a browser hashes the whole text of the element, with the line breaks that page.html has around the script
    digest = b64encode(sha256(f"\n{script}\n".encode()).digest()).decode()
    return Template(_asset("page.html")).substitute(
        mark=MARK,
        policy=f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:",
        title=escape(" and ".join(each.head.name for each in summaries)),
        style=_asset("report.css"),
        runs=_packed(to_json(summaries)),
        page=_inert(json.dumps(_about(summaries))),
        script=script,
    )


def _about(summaries: Iterable[RunSummary]) -> dict[str, object]:
    return {
        "made": datetime.now().astimezone().isoformat(" ", "minutes"),
        "version": _version(),
        "hues": [HUES[i][0] for i in (2, 3, 0, 1, 4, 5)],  # blue and vermilion first: most comparisons are of two runs
        "colours": colours_of(_labels(summaries)),
    }


def _version() -> str:
    try:
        return metadata.version("cellstack")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _labels(summaries: Iterable[RunSummary]) -> Iterator[str]:
    for summary in summaries:
        yield from (label for panel in summary.shares for label in panel.labels)
        yield from (label for each in summary.supernets for choice in each.choices for label in choice.labels)


def colours_of(labels: Iterable[str]) -> dict[str, tuple[str, Sequence[float] | None]]:
    """Return the colour and the dashes of each option, so that an operation looks the same in all charts of the page."""
    found = line_styles(sorted(set(labels)))
    return {label: (each.colour, each.dashes) for label, each in found.items()}


def _asset(name: str) -> str:
    return resources.files("nas.report.html").joinpath("assets", name).read_text(encoding="utf-8")


def _packed(data: str) -> str:
    """Compress text to gzip in base64; without a time stamp, so the same text gives the same bytes."""
    return b64encode(gzip.compress(data.encode(errors="surrogateescape"), mtime=0)).decode()


def _inert(data: str) -> str:
    """Escape `<` in JSON, so that no text in it can close the element that holds it."""
    return data.replace("<", r"\u003c")
