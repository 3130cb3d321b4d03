"""Terminal output of the commands: results and lists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from nas.building import Node
from nas.evaluation.evaluator import Evaluator
from nas.family import families
from nas.notation import name_of
from nas.records import RecordError, import_all, nearest, record_classes
from nas.runs.declared import experiments, recipes
from nas.runs.experiment import Experiment
from nas.runs.run import Result
from nas.runs.scores import classes_of
from nas.runtime.executor import Executor
from nas.runtime.loggers import Logger
from nas.terminal.show_run import print_finals, show_best, show_front, show_searched


def show_result(experiment: Experiment, result: Result, folder: Path, console: Console) -> None:
    """Print the result of a run, with its final trainings if there are any, and its folder."""
    show_searched(result.searched, console)
    show_best(experiment, result.best, console)
    show_front(result.history, folder, console)
    if result.finals and experiment.final is not None:
        print_finals(result.finals, experiment.final.objective, console, classes_of(folder))
    if (folder / "best.svg").is_file():
        console.print(f"Picture: {folder / 'best.svg'}", soft_wrap=True)
    console.print(f"Run folder: {folder}  (nas show {folder}, nas report {folder})", soft_wrap=True)


def show_list(what: str | None, console: Console) -> None:
    """Print what the library offers, with a line on each. Raises RecordError for an unknown section."""
    known = sections()
    if what is not None and what not in known:
        raise RecordError(f"there is no list of {what!r}: {nearest(what, known)}")
    for title in [what] if what else known:
        console.print(title, style="bold")
        for name, line in known[title]:
            console.print(Text.assemble(f"  {name}  ", (line, "dim")), soft_wrap=True)


PACKAGES = "layers operations topology strategies predictors supernets evaluation runtime".split()
"""The packages of nas whose records are listed."""


def sections(within: str = "") -> dict[str, list[tuple[str, str]]]:
    """Return what the library offers by kind, each as (name, line); of records only those in modules that begin with `within`."""
    from nas.data import Data
    from nas.evaluation.official_file import official_files
    from nas.evaluation.proxies import Proxy
    from nas.inspection.inspection import inspections
    from nas.predictors.encoding import Encoding
    from nas.predictors.predictor import Predictor
    from nas.strategies.controllers.controller import Controller
    from nas.strategies.strategy import Strategy
    from nas.supernets.method import Method

    for package in PACKAGES:
        import_all(f"nas.{package}")
    known = families()
    published = (
        (f"{name}:{member}", each.source_of(member)) for name, each in known.items() for member in each.published
    )
    return {
        "spaces": [(name, _first_line(each.space)) for name, each in known.items()],
        "networks": list(published),
        "strategies": _described(Strategy, within),
        "predictors": _described(Predictor, within),
        "encodings": _described(Encoding, within),
        "controllers": _described(Controller, within),
        "methods": _described(Method, within),
        "evaluators": _described(Evaluator, within),
        "proxies": _described(Proxy, within),
        "tables": [(name, _first_line(type(each))) for name, each in official_files().items()],
        "inspections": [(each.name, _first_line(type(each))) for each in inspections()],
        "data": _described(Data, within),
        **_of_recipes(within),
        "operations": list(_nodes("nas.operations")),
        "layers": list(_nodes("nas.layers")),
        "topology": list(_nodes("nas.topology")),
        "executors": _described(Executor, within),
        "loggers": _described(Logger, within),
        "experiments": [(name, _claim(path)) for name, path in experiments().items()],
        "recipes": [(name, _claim(path)) for name, path in recipes().items()],
    }


def _of_recipes(within: str) -> dict[str, list[tuple[str, str]]]:
    """Return what a recipe may choose, by kind."""
    from nas.training.initialisation import Initialisation
    from nas.training.losses import Loss
    from nas.training.optimizers import Optimizer
    from nas.training.schedules import Schedule
    from nas.training.unlabelled import Unlabelled

    return {
        "optimizers": _described(Optimizer, within),
        "schedules": _described(Schedule, within),
        "losses": _described(Loss, within),
        "initialisations": _described(Initialisation, within),
        "unlabelled": _described(Unlabelled, within),
    }


def _nodes(package: str) -> Iterator[tuple[str, str]]:
    """Yield the nodes of a package by class, with their name in notation, each as (name, line)."""
    for cls in record_classes(Node).values():
        if cls.__module__.startswith(f"{package}."):
            yield f"{cls.__name__} ({name_of(cls)})", _first_line(cls)


def _described(kind: type[Any], within: str) -> list[tuple[str, str]]:
    known = record_classes(kind).values()
    return [(cls.__name__, _first_line(cls)) for cls in known if cls.__module__.startswith(within)]


def _first_line(documented: object) -> str:
    return (documented.__doc__ or "").strip().split("\n")[0]


def _claim(path: Path) -> str:
    """Return the header of a file up to its first colon or full stop."""
    # join the comment lines before "# Source", so that a sentence may span them
    header = path.read_text(encoding="utf-8").split("\n# Source")[0].replace("\n#", "").lstrip("# ")
    return re.split(r"[:.]\s", header, maxsplit=1)[0]
