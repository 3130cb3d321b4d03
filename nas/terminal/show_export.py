"""The output of `nas export`: the files, the check of reading them back, and advice where an output differs."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nas.export.compare import BATCHES
from nas.export.exporting import Export, Exported


def show_export(done: Export, console: Console) -> None:
    """Print a table of the formats; the largest difference is over batches of 1 and 3 random images."""
    if done.built is not None and (folded := done.built.folded) is not None:
        console.print(f"{folded.folded} of {folded.norms} batch norms folded")
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("format", "file"):
        table.add_column(column, overflow="fold")
    for column in ("size", "largest difference", "seconds"):
        table.add_column(column, justify="right")
    for each in done.exported:
        table.add_row(*_row(each))
    console.print(table)
    for line in (line for each in done.exported for line in each.remarks):
        console.print(line, soft_wrap=True)
    if done.card is not None and not done.differing:
        console.print(f"Model card: {done.card}", soft_wrap=True)
    for each in done.differing:
        _show_difference(each, done, console)


def _row(each: Exported) -> tuple[str | Text, ...]:
    difference = "read back" if each.difference is None else f"{each.difference:.1e}"
    files = ", ".join([str(each.files[0]), *(file.name for file in each.files[1:])])
    shown = Text(difference, "" if each.agrees else "red")
    return each.format.name, files, _size(each.size_bytes), shown, f"{each.seconds:.1f}"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:,.1f} kB"


def _show_difference(each: Exported, done: Export, console: Console) -> None:
    is_folded = each.format.folds and done.built is not None and done.built.folded is not None
    first = "without --fold-bn, then " if is_folded else ""
    console.print(
        f"{each.format.name} does not compute what the network computes: outputs differ by {each.difference:.1e} over batches "
        f"of {' and '.join(map(str, BATCHES))} random images, and rounding explains {each.limit:.0e}. Nothing was written. "
        f"Export {first}fewer layers, until the operation that differs is found",
        style="red",
        soft_wrap=True,
    )
