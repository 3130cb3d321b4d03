"""The page of compared searches: their curves, summaries and paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from nas.report.html.curves import BANDS, charts, legend
from nas.report.html.static import html_table, section, write_static
from nas.report.summary.compared import (
    PAIR_COLUMNS,
    SUMMARY_COLUMNS,
    Compared,
    pair_cells,
    summary_cells,
)


def write_compared(path: Path, compared: Compared) -> None:
    """Write the page; one that was written before is replaced. Raises RecordError where `path` is another file."""
    reading = f"Mean best {compared.objective} so far"
    reading += f", and the test scores of that architecture. {BANDS}" if compared.tests else f". {BANDS}"
    drawn = section("Over the search", reading, legend(compared.searches), charts(compared.searches, compared.tests))
    summaries = [_escaped(summary_cells(each.name, compared.summaries[each.name])) for each in compared.searches]
    table = html_table(SUMMARY_COLUMNS, summaries, SUMMARY_COLUMNS[1:])
    sections = [section(compared.metric, "Over seeds.", table), drawn]
    if compared.pairs:
        rows = html_table(PAIR_COLUMNS, [_escaped(pair_cells(each)) for each in compared.pairs], PAIR_COLUMNS[2:])
        sections.append(
            section("Paired by seed", "Two-sided sign-flip tests; the effect is that of paired scores.", rows)
        )
    write_static(path, "Searches compared", sections)


def _escaped(cells: Sequence[str]) -> list[str]:
    return [escape(cell) for cell in cells]
