"""The output of `nas inspect`: what each method found, in a sentence."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from nas.runs.inspect_weights import Inspected


def show_inspection(inspected: Inspected, console: Console) -> None:
    """Print the title of each method and what it found."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for each, findings in inspected.found:
        table.add_row(each.title, findings.reading)
    console.print(table)
    console.print(f"Network: {inspected.network}", soft_wrap=True)
    console.print(inspected.inspected_on, soft_wrap=True)
