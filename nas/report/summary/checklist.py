"""The checklist for research on NAS of Lindauer and Hutter 2020 (arXiv:1909.02453), filled from the folder of a search.

Only what the folder says is filled in; what only its author can know stays open.
"""

from __future__ import annotations

from pathlib import Path

from nas.counting import count
from nas.evaluation.evaluator_chain import parts_in
from nas.evaluation.table import Table
from nas.records import RecordError, to_plain
from nas.report.summary.checklist_item import UNKNOWN, ChecklistItem
from nas.report.summary.compared import SearchedSeeds, read_searched
from nas.report.summary.head import named, provenance_of
from nas.runs.experiment import Experiment, load
from nas.runs.run_data import read_data
from nas.runs.seed_journal import DECLARED, SEEDS

MANY_SEEDS = 12
"""The number of seeds up to which each is named."""


def checklist_of(folder: Path, searched: SearchedSeeds | None = None) -> list[ChecklistItem]:
    """Return the checklist of a run folder of a search, or of a reproduction, and of its seeds; by default they are read.

    Raises RecordError where it is neither, or nothing was scored yet.
    """
    file = declared_in(folder)
    experiment, known = load(file), provenance_of(file)
    searched = searched or read_searched(folder, folder.name)
    machine = "; ".join(known[key] for key in ("hardware", "versions") if key in known)
    return [
        *_code(experiment, file, searched, known.get("versions", "")),
        *_comparison(experiment, folder, searched, machine or UNKNOWN),
        *_reporting(experiment, file, searched),
    ]


def declared_in(folder: Path) -> Path:
    """Return the file of a search or of a reproduction in its folder. Raises RecordError where there is none."""
    seeds = sorted(folder.glob("seed-*/experiment.yaml"))
    for file in (folder / DECLARED, folder / "experiment.yaml", *seeds[:1]):
        if file.is_file():
            return file
    raise RecordError(f"--checklist is for the folder of a search, and {folder} is not one: leave --checklist out")


def _code(experiment: Experiment, file: Path, searched: SearchedSeeds, versions: str) -> list[ChecklistItem]:
    heading = "Code"
    own = f", and the modules {', '.join(experiment.imports)}" if experiment.imports else ""
    code = f"cellstack of these versions: {versions}{own}" if versions else UNKNOWN
    final = named(experiment.final.evaluator or experiment.evaluator) if experiment.final else ""
    return [
        ChecklistItem(heading, "Code of the search space, the method and the evaluation", code),
        ChecklistItem(heading, "Settings of the method and of the search", f"all written out in {file.name}"),
        ChecklistItem(
            heading, "Settings of the final evaluation", (final and f"{final}: {file.name}, `final`") or UNKNOWN
        ),
        ChecklistItem(heading, "Random seeds of the search", _seeds(searched)),
        ChecklistItem(heading, "Is the code published, and where"),
    ]


def _seeds(searched: SearchedSeeds) -> str:
    seeds = list(searched.seeds)
    return ", ".join(map(str, seeds)) if len(seeds) <= MANY_SEEDS else f"{len(seeds)} from {seeds[0]} to {seeds[-1]}"


def _comparison(experiment: Experiment, folder: Path, searched: SearchedSeeds, machine: str) -> list[ChecklistItem]:
    heading = "Comparison"
    is_tabular = any(isinstance(each, Table) for each in parts_in(experiment.evaluator))
    beside = int(experiment.final.beside_random) if experiment.final else 0
    random = f"{beside} random architectures trained and tested in the same way" if beside else UNKNOWN
    journal = SEEDS if (folder / SEEDS).is_file() else "history.jsonl"
    return [
        ChecklistItem(heading, "Search space and its size", _space(experiment)),
        ChecklistItem(heading, "Data and their split", _data(folder, experiment)),
        ChecklistItem(heading, "Hardware and versions, alike for all methods", machine),
        ChecklistItem(heading, "Comparison with random architectures or random search", random),
        ChecklistItem(heading, "Number of runs", str(len(searched.seeds))),
        ChecklistItem(heading, "Performance over time", f"in {journal}: nas compare {folder}"),
        ChecklistItem(heading, "Tabular benchmark", "yes" if is_tabular else "no, evaluated otherwise"),
        ChecklistItem(heading, "Ablations"),
    ]


def _space(experiment: Experiment) -> str:
    size = count(experiment.open_space())
    return f"{experiment.space_name}, {f'{size:,}' if size < 10**9 else f'{float(size):.2g}'} architectures"


def _data(folder: Path, experiment: Experiment) -> str:
    """Return the digest of each part's data, and the number of images in each split."""
    found = read_data(folder) or read_data(declared_in(folder).parent)
    if found is None or not found.parts:
        return "no data were read" if found is not None else UNKNOWN
    parts = []
    for name, each in found.parts.items():
        images = ", ".join(f"{number:,} {split}" for split, number in each.identity.images.items())
        parts.append(f"{name}: digest {each.identity.digest}" + (f" ({images})" if images else ""))
    return "; ".join(parts)


def _reporting(experiment: Experiment, file: Path, searched: SearchedSeeds) -> list[ChecklistItem]:
    heading = "Reporting"
    budget = to_plain(experiment.rules.budget)["Budget"] if experiment.rules.budget is not None else {}
    asked = ", ".join(f"{value:,} {name}" for name, value in budget.items()) or UNKNOWN
    return [
        ChecklistItem(heading, "Budget of the search", asked),
        ChecklistItem(heading, "Evaluations and time of the search", _spent(searched)),
        ChecklistItem(heading, "Method, with its settings", named(experiment.strategy or experiment.supernet)),
        ChecklistItem(heading, "How the settings of the method were tuned, and with what effort"),
        ChecklistItem(heading, "Everything else of the setup", f"{file.name} and its comments"),
    ]


def _spent(searched: SearchedSeeds) -> str:
    curves = [result.anytime for result in searched.seeds.values()]
    parts = [f"{sum(each.evaluations[-1] for each in curves):,} evaluations"]
    if all(each.seconds for each in curves):
        parts.append(f"{sum(each.seconds[-1] for each in curves if each.seconds):,.0f} s by the journal")
    return ", ".join(parts) + (f" in {len(curves)} runs" if len(curves) > 1 else "")
