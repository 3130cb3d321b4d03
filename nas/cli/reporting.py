"""The command that writes a report of runs."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.options import terminal


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders; several are compared.")],
    out: Annotated[
        Path | None, typer.Option(help="The file; by default report.html in the run folder, or here for several runs.")
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the report in the browser.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file that is not a report.")] = False,
) -> None:
    """Write a report of runs as one HTML file: the best, curves, family tree, costs, and all evaluations.

    The file is self-contained and makes no network request: send it, or keep it next to the run. A run that has not ended can
    be reported too.

    nas report runs/quickstart-20260101-120000 --open

    nas report runs/evolution runs/random --out compared.html
    """
    from time import perf_counter

    from nas.report.html.page import check_target, write_page
    from nas.report.summary.summarise import summarise

    console, begin = terminal(), perf_counter()
    runs = list({os.path.realpath(run): run for run in runs}.values())
    path = out or (runs[0] if len(runs) == 1 else Path()) / "report.html"
    check_target(path, force)
    with _uncollected():
        summaries = [summarise(folder) for folder in runs]
        write_page(path, summaries, force)
    for each in summaries:
        if each.head.state == "running":
            console.print(f"{each.head.folder} is still running: the report shows its current state.")
    size = path.stat().st_size / 1e6
    seconds = perf_counter() - begin
    console.print(f"Report: {path}  ({size:.1f} MB, {seconds:.1f} s)", soft_wrap=True)
    if open_page:
        typer.launch(path.resolve().as_uri())


@contextmanager
def _uncollected() -> Iterator[None]:
    """Disable the garbage collector: its search for cycles in the millions of objects of a long run takes a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
