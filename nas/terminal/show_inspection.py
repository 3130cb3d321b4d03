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
    source = f": {inspected.source}" if inspected.source else ""
    console.print(f"Inspected on {inspected.images:,} images{source}", soft_wrap=True)
