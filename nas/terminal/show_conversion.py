"""The output of `nas convert`: the progress of reading, and how an experiment names the table."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from nas.evaluation.official_file import official_file
from nas.evaluation.table_writing import check_destination, write_table


def convert_and_show(name: str, source: Path, out: Path, force: bool, console: Console) -> None:
    """Read an official file, write it as a table, and print its columns and what to write into an experiment.

    Raises RecordError where the format is unknown, the file cannot be read, or the table not be written.
    """
    reader = official_file(name)
    check_destination(out, force)
    with Progress(console=Console(stderr=True), transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"reading {source.name}", total=1.0)
        table = reader.read(source, lambda share: bar.update(task, completed=share))
        bar.update(task, description=f"writing {out.name}")
        write_table(table, out)
    console.print(f"Table: {out}  ({len(table):,} rows, {out.stat().st_size / 1e6:.1f} MB)", soft_wrap=True)
    console.print(f"Columns: {', '.join(table.columns)}", soft_wrap=True)
    key = "" if table.ops is not None and out.suffix == ".npz" else ", key: text"
    console.print(f"In an experiment: evaluator: {{Table: {{table: {out}{key}, validation: COLUMN}}}}", soft_wrap=True)
