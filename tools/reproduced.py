"""The section "Reproduced" of the README: the numbers of `nas reproduce --all --slow` beside the expected ones.

    nas reproduce --all --slow
    python tools/reproduced.py runs/reproduce-all

The first command runs the experiments and keeps their seeds. The tool reads them, writes means and deviations to
docs/reproduced.json, and the tables from there and from the experiments' `expect` between two comments of the README. Without a
folder it writes the tables anew, as after a change of an expected number. A test compares the three.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nas.records import digest
from nas.runs.declared import experiments
from nas.runs.experiment import load
from nas.runs.reproduce import Comparison
from nas.runs.reproduce_all import Listed, Reproduced, folder_of, listed, reproduce_listed
from nas.runs.seed_journal import SEEDS, kept

ROOT = Path(__file__).resolve().parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "docs" / "reproduced.json"

BEGIN, END = "<!-- written by tools/reproduced.py, from here -->", "<!-- to here -->"

DATA_SETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16_120": "ImageNet16-120"}

TABLES = {
    "nasbench201": "NAS-Bench-201, `nas reproduce nasbench201/NAME`: search on CIFAR-10 for 12,000 simulated seconds "
    "(`local_search`: for 100 evaluations), test on three data sets",
    "nats_bench": "NATS-Bench, `nas reproduce nats_bench/NAME_cifar10` (`_cifar100`, `_imagenet16_120`): search and test on the "
    "same data set, for 20,000, 40,000 and 120,000 simulated seconds",
}
"""The titles of the tables of searches by data set, by the folder of their experiments; other numbers are in a last table."""

Results = Mapping[str, Mapping[str, Any]]
"""Of each experiment: the digest of its settings, its number of seeds, and mean and deviation of each expected score."""


@dataclass(frozen=True, slots=True)
class Row:
    """A search of one experiment, or of one for each data set, with its numbers by the title of a column."""

    name: str
    seeds: int
    numbers: Mapping[str, Comparison]


def measured(folder: Path) -> dict[str, Any]:
    """Return the results of the experiments that have all their seeds in the folder of a `nas reproduce --all`.

    Raises RecordError where a folder has seeds with other settings or data than the experiment's.
    """
    whole = [each for each in listed(experiments(), None, slow=True) if not each.left_out and _is_whole(each, folder)]
    return {each.name: _result(reproduce_listed(each, folder, 1)) for each in whole}


def _is_whole(each: Listed, folder: Path) -> bool:
    place = folder_of(each.name, folder)
    return (place / SEEDS).is_file() and set(range(each.seeds)) <= kept(place).keys()


def _result(found: Reproduced) -> dict[str, Any]:
    scores = {each.name: [round(each.own_mean, 4), round(each.own_std or 0.0, 4)] for each in found.compared}
    settings = settings_of(experiments()[found.listed.name])
    return {"settings": settings, "seeds": found.listed.seeds, "scores": scores}


def settings_of(path: Path) -> str:
    """Return the digest of what a file declares, without the expected numbers."""
    declared = yaml.safe_load(path.read_text(encoding="utf-8"))
    return digest({key: value for key, value in declared.items() if key != "expect"})[:12]


def tables(results: Results) -> str:
    """Return the tables as Markdown."""
    rows = list(_rows(results))
    of_sets = {folder: [row for row in rows if row.name.startswith(f"{folder}/")] for folder in TABLES}
    of_sets = {
        folder: [row for row in found if set(row.numbers) == set(DATA_SETS)] for folder, found in of_sets.items()
    }
    others = [row for row in rows if not any(row in found for found in of_sets.values())]
    parts = [f"{TABLES[folder]}.\n\n{_of_data_sets(found)}" for folder, found in of_sets.items() if found]
    return "\n\n".join([*parts, f"Other experiments.\n\n{_of_scores(others)}"])


def _rows(results: Results) -> Iterator[Row]:
    """Yield the searches; experiments that differ by the data set at the end of their names are one."""
    merged: dict[str, dict[str, Comparison]] = {}
    seeds: dict[str, int] = {}
    for name, found in results.items():
        for score, expected in load(name).expect.items():
            mean, std = found["scores"][score]
            place = score.removesuffix("_test_top1_percent")
            row = name.removesuffix(f"_{place}")
            merged.setdefault(row, {})[place] = Comparison(score, expected, mean, std, found["seeds"])
            seeds[row] = found["seeds"]
    return (Row(name, seeds[name], numbers) for name, numbers in merged.items())


def _of_data_sets(rows: Iterable[Row]) -> str:
    head = ["NAME", *DATA_SETS.values(), "expected are", "seeds", "within tolerance"]
    return _table(
        head,
        ([row.name.partition("/")[2], *(_cell(row.numbers[each]) for each in DATA_SETS), *_said(row)] for row in rows),
    )


def _of_scores(rows: Iterable[Row]) -> str:
    return _table(
        ["experiment", "score", "", "expected are", "seeds", "within tolerance"],
        (
            [
                row.name,
                DATA_SETS.get(score, score.replace("_", " ")),
                _cell(number),
                *_said(Row(row.name, row.seeds, {score: number})),
            ]
            for row in rows
            for score, number in row.numbers.items()
        ),
    )


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines).replace("|  |", "| |")


def _cell(number: Comparison) -> str:
    """Return own and, in brackets, expected mean and deviation; an own one that is outside is bold."""
    own = _spread(number.own_mean, number.own_std)
    expected = _spread(number.published.mean, number.published.std)
    return f"{own} ({expected})" if number.holds else f"**{own}** ({expected})"


def _spread(mean: float, std: float | None) -> str:
    digits = 2 if abs(mean) >= 1 else 3
    return f"{mean:.{digits}f}" + ("" if std is None else f" ± {std:.{digits}f}")


def _said(row: Row) -> tuple[str, str, str]:
    """Return where the expected numbers come from, the number of seeds, and which of the own ones are outside, and why."""
    outside = [
        f"{DATA_SETS.get(place, place)} by {each.outside:.2f}" for place, each in row.numbers.items() if not each.holds
    ]
    notes = dict.fromkeys(
        each.published.note for each in row.numbers.values() if not each.holds and each.published.note
    )
    sources = dict.fromkeys(each.published.source for each in row.numbers.values())
    said = f"no: {', '.join(outside)}. {' '.join(notes)}".strip() if outside else "yes"
    return " and ".join(sources), str(row.seeds), said


def written_in(page: str, text: str) -> str:
    """Return a page with the text between the two comments."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}"


def section_of(page: str) -> str:
    """Return the text between the two comments of a page."""
    return page.partition(BEGIN)[2].partition(END)[0].strip()


def results() -> dict[str, Any]:
    """Return the results that were written."""
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    return found


def main() -> None:
    """Read the folder, if one is given, and write the results and the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="the folder of nas reproduce --all")
    folder = parser.parse_args().folder
    found = {**results(), **(measured(folder) if folder is not None else {})}
    known = {name: found[name] for name in experiments() if name in found}
    RESULTS.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    README.write_text(written_in(README.read_text(encoding="utf-8"), tables(known)), encoding="utf-8")


if __name__ == "__main__":
    main()
