"""The page of reproductions: expected and own numbers, and each distance drawn to the scale of its tolerance."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from nas.report.html.curves import BANDS, charts
from nas.report.html.static import html_table, section, write_static
from nas.report.summary.checklist import checklist_of
from nas.report.summary.checklist_item import ChecklistItem
from nas.report.summary.compared import read_searched, tests_of
from nas.runs.reproduce import Comparison
from nas.runs.reproduce_all import Listed, Reproduced
from nas.runs.statistics import interval_text

COLUMNS = ("experiment", "score", "expected", "own, 95 % interval", "distance")
NUMBERS = ("expected", "own, 95 % interval")

WIDTH, HEIGHT = 180.0, 18.0
"""The size of a drawn distance in px; its middle third is the tolerance, on either side of the expected number."""


def write_reproduced(path: Path, found: Sequence[Reproduced], left_out: Sequence[Listed]) -> None:
    """Write the page; one that was written before is replaced. Raises RecordError where `path` is another file."""
    missed = [each.listed.name for each in found if not each.holds]
    reading = f"{len(found) - len(missed)} of {len(found)} experiments are within their tolerances"
    sections = [
        section(
            "Expected and own numbers",
            f"{reading}. Means ± standard deviations over seeds. The band is the tolerance around the expected number, the dot "
            "the own mean, the line its 95 % bootstrap interval.",
            html_table(COLUMNS, [row for each in found for row in _rows(each)], NUMBERS),
        ),
        section(
            "The experiments",
            f"What the heads of their files say, the best so far over the search, and the checklist for papers. {BANDS}",
            *map(_described, found),
        ),
    ]
    if left_out:
        rows = [(escape(each.name), escape(each.left_out)) for each in left_out]
        sections.append(section("Left out", "Not run here.", html_table(("experiment", "reason"), rows)))
    write_static(path, "Reproduced", sections)


def _rows(found: Reproduced) -> list[list[str]]:
    name = f"{escape(found.listed.name)}{_small(f'{found.listed.seeds} seeds')}"
    if found.failure:
        return [[name, *[""] * (len(COLUMNS) - 2), _line("down", found.failure)]]
    return [_row("" if place else name, each) for place, each in enumerate(found.compared)]


def _row(name: str, each: Comparison) -> list[str]:
    own_spread = "" if each.own_std is None else f" ± {each.own_std:.3f}"
    limits = "" if each.interval is None else _small(interval_text(each.interval))
    within = "" if each.retraining_std is None else _small(f"retraining ± {each.retraining_std:.3f}")
    rederived = each.published.rederived_text and _small(f"re-derived {each.published.rederived_text}")
    verdict = {
        True: _line("up", "inside"),
        False: _line("down", f"outside by {each.outside:.3f}") + (each.published.note and _small(each.published.note)),
        None: "no verdict",
    }[each.holds]
    return [
        name,
        escape(each.name),
        f"{each.published.text}{_small(f'tolerance {each.published.tolerance:g}')}{rederived}",
        f"{each.own_mean:.3f}{own_spread}{limits}{within}",
        f"{distance(each)}<br>{verdict}",
    ]


def _line(colour: str, text: str) -> str:
    return f'<span class="line"><span class="{colour}">{escape(text)}</span></span>'


def _small(text: str) -> str:
    return f"<br><small>{escape(text)}</small>"


def distance(each: Comparison) -> str:
    """Return the own mean and its interval as an SVG, beside the expected number and its tolerance."""
    tolerance = each.published.tolerance or abs(each.difference) or 1.0

    def across(score: float) -> float:
        """Return the place of a score: from 0 to WIDTH for three tolerances on either side, and at the edge beyond."""
        share = (score - each.published.mean) / (6 * tolerance) + 0.5
        return round(WIDTH * min(max(share, 0.02), 0.98), 1)

    low, high = each.interval or (each.own_mean, each.own_mean)
    middle, third = HEIGHT / 2, WIDTH / 3
    colour = {True: "--good", False: "--bad", None: "--soft"}[each.holds]
    return (
        f'<svg role="img" width="{WIDTH:g}" height="{HEIGHT:g}" viewBox="0 0 {WIDTH:g} {HEIGHT:g}">'
        f"<title>{each.difference:+.3f} from the expected number, tolerance {each.published.tolerance:g}</title>"
        f'<rect x="{third:g}" y="2" width="{third:g}" height="{HEIGHT - 4:g}" style="fill:var(--raised)"/>'
        f'<path d="M{WIDTH / 2:g} 1v{HEIGHT - 2:g}" style="stroke:var(--pale)"/>'
        f'<path d="M{across(low)} {middle:g}H{across(high)}" style="stroke:var({colour});stroke-width:2"/>'
        f'<circle cx="{across(each.own_mean)}" cy="{middle:g}" r="4" style="fill:var({colour})"/></svg>'
    )


def _described(found: Reproduced) -> str:
    parts = [f"<summary>{escape(found.listed.name)}</summary><pre>{escape(found.listed.header.text)}</pre>"]
    if not found.failure:
        searched = read_searched(found.folder, found.listed.name, found.listed.seeds)
        parts += [charts([searched], tests_of([searched])), _checklist(checklist_of(found.folder, searched))]
    return f'<details class="run">{"".join(parts)}</details>'


def _checklist(items: Sequence[ChecklistItem]) -> str:
    rows = [(escape(each.heading), escape(each.question), escape(each.answer)) for each in items]
    return f'<details class="list"><summary>Checklist for papers</summary>{html_table(("", "", ""), rows)}</details>'
