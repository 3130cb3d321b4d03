"""The command that serves runs as a web page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.options import terminal
from nas.runtime.stopping import listener


def dashboard(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders of searches, also unfinished ones.")
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 picks a free one.")] = 8080,
    host: Annotated[
        str, typer.Option(help="The address; 0.0.0.0 accepts other machines, without a password.")
    ] = "127.0.0.1",
) -> None:
    """Follow searches in the browser: curves, parameters and each evaluation, on a page of optuna-dashboard.

    It reads the journals while they grow, and writes nothing. Ctrl-C ends it; the searches continue.
    """
    from nas.terminal.dashboard import dashboard as opened

    console = terminal()
    with listener().once(), opened(runs, host, port) as page:
        console.print(f"{page.url}  (Ctrl-C to end)", soft_wrap=True)
        page.serve()
