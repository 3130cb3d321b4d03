"""Experiments: a search as a YAML file declares it, from the space to the final network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, Literal

from nas.choice import choices
from nas.evaluation.candidate import Candidate, architecture_of
from nas.evaluation.evaluator import Evaluator, Task
from nas.evaluation.evaluator_chain import parts_in
from nas.evaluation.fit import Fit
from nas.family import Family, family
from nas.records import Natural, NonNegative, Positive, RecordError, record, to_plain, written
from nas.runs.declared import experiments, find_declared, load_declared
from nas.runs.spaces import named_space
from nas.runtime.executor import Executor
from nas.runtime.inline import Inline
from nas.runtime.rules import Rules
from nas.space import decisions
from nas.strategies.strategy import Strategy
from nas.supernets.recipe import SupernetSearch

Options = Mapping[str, Any]


@record
class Rederived:
    """The mean and standard deviation that an independent program has found where the published ones come from."""

    mean: float
    std: NonNegative | None = None


@record
class Expectation:
    """An expected number; own results must be within `tolerance` of its `mean`.

    `source` says where it comes from: printed in a publication, recalled from one that was not at hand, derived by an
    independent program, or our own former runs. `rederived` is what such a program finds beside a published number. `note` says
    what a reader needs to know, as the reason where own results are outside.
    """

    mean: float
    tolerance: NonNegative
    std: NonNegative | None = None
    source: Literal["published", "recalled", "re-derived", "own"] = "published"
    rederived: Rederived | None = None
    note: str = ""

    @property
    def text(self) -> str:
        """The mean and the standard deviation as text, and the source where it is no publication."""
        return _with_spread(self.mean, self.std) + ("" if self.source == "published" else f", {self.source}")

    @property
    def rederived_text(self) -> str:
        """The re-derived mean and standard deviation as text; empty where there are none."""
        return "" if self.rederived is None else _with_spread(self.rederived.mean, self.rederived.std)


def _with_spread(mean: float, std: float | None) -> str:
    return f"{mean:g}" + ("" if std is None else f" ± {std:.2f}")


@record
class Final:
    """The final training of the best architecture: stacked by `network`, scored by `evaluator` on the test data.

    Without an `evaluator` the search's is used. Options that `network` leaves out are those of the search; `fit` chooses the
    width by a budget. `top` is how many of the best are trained, or "front" for the whole front of several objectives; with
    `ensemble` the mean of their logits is tested too. `beside_random` is true or a number: one or that many random architectures
    of the space are trained and tested in the same way, as a baseline.
    """

    network: Mapping[str, Any] = field(default_factory=dict)
    evaluator: Evaluator | None = None
    fit: Fit | None = None
    objective: str = "test_top1_percent"
    beside_random: bool | Natural = False
    top: Positive | Literal["front"] = 1
    ensemble: bool = False


@record
class Experiment:
    """A search: a space, a strategy or a supernet or both, an evaluator, rules, and the final training of the best.

    A `strategy` proposes architectures, and the evaluator scores them. With a `supernet` alone the candidates are the
    architectures derived from it, one per seed; without an evaluator they have the scores that their supernet gave them. With
    both, the strategy's proposals are scored by their paths in the supernet, and there is no evaluator.

    `space` is a family's name, a mapping from the name to options of the family's space, the path of your own module, as
    ./mine.py, the file of an exported space, or a tree in notation with open choices. `network` holds the options by which the
    family stacks an architecture during the search. `expect` holds published numbers by the name of the score. `imports` names
    your own modules to import first, or their files, such as those with your strategy or evaluator.
    """

    space: str | Mapping[str, Mapping[str, Any]]
    strategy: Strategy | None = None
    evaluator: Evaluator | None = None
    rules: Rules = Rules()
    supernet: SupernetSearch | None = None
    network: Mapping[str, Any] = field(default_factory=dict)
    executor: Executor = Inline()
    final: Final | None = None
    expect: Mapping[str, Expectation] = field(default_factory=dict)
    imports: tuple[str, ...] = ()

    @classmethod
    def upgrade(cls, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the fields of a file with a list of evaluators as their chain."""
        listed = fields.get("evaluator")
        return {**fields, "evaluator": {"EvaluatorChain": {"parts": listed}}} if isinstance(listed, list) else fields

    def __post_init__(self) -> None:
        missing = {
            "strategy": self.strategy is None and self.supernet is None,
            "evaluator": self.evaluator is None and self.supernet is None,
            "rules.budget": self.rules.budget is None and self.strategy is not None,
        }
        for key, is_missing in missing.items():
            if is_missing:
                raise RecordError(f"{key} is missing: give it a value", key)
        if self.supernet is not None and self.strategy is not None:
            self._check_paths(self.supernet)
        parts = {name: to_plain(value) for name, value in written(self) if name != "space"}
        for place in open_places(parts, ""):
            if ".recipe." not in place or not place.startswith("evaluator"):
                raise RecordError(
                    f"{place} has open choices: only the space and the evaluator's recipe are searched", place
                )

    def _check_paths(self, supernet: SupernetSearch) -> None:
        """Raise RecordError where the strategy's proposals cannot be scored by their paths in one supernet of the space."""
        name = type(supernet.method).__name__
        if self.evaluator is not None:
            raise RecordError(
                "the evaluator scores what the strategy proposes, so that the supernet is not used: leave one of the three out",
                "supernet",
            )
        if supernet.seeds > 1:
            raise RecordError(
                f"supernet.seeds is {supernet.seeds}, and paths are scored by one supernet: give 1", "supernet"
            )
        if len(supernet.method.phases(supernet.epochs, supernet.alphas.from_epoch)) > 1:
            raise RecordError(
                f"supernet.method {name} prunes the space from phase to phase, and a strategy needs all of it: "
                "leave the strategy out, or take a method of one phase, such as Spos",
                "supernet.method",
            )

    @property
    def scored_by(self) -> Literal["evaluator", "paths", "supernets"]:
        """What scores the candidates: the evaluator, their paths in a supernet, or the supernets they are derived from."""
        if self.evaluator is not None:
            return "evaluator"
        return "supernets" if self.strategy is None else "paths"

    @property
    def space_name(self) -> str:
        """The name of the space's family. Raises RecordError where `space` does not name exactly one."""
        return named_space(self.space).name

    def family(self) -> Family:
        """Return the family of the space. Raises RecordError where the name is unknown."""
        return named_space(self.space).family

    def open_space(self) -> Any:
        """Return the space, with the recipe where that has choices too. Raises RecordError where something in it is wrong."""
        where = "space" if isinstance(self.space, str) else f"space.{next(iter(self.space), '')}"
        space = named_space(self.space).open(where)
        joined = self.evaluator.joined(space) if self.evaluator is not None else space
        if joined is not space:
            choices(joined)  # raises where a name of the space is one of the recipe too
        return joined

    def describe(self, architecture: Any) -> str:
        """Return an architecture as short text, and the choices of its recipe in a joint search."""
        text = self.family().describe(architecture_of(architecture))
        if not isinstance(architecture, Candidate):
            return text
        assert self.evaluator is not None, "which has made a candidate of it"
        recipe = self.evaluator.joined(None).recipe
        taken, known = decisions(recipe, architecture.recipe), choices(recipe)
        chosen = ", ".join(f"{name} {known[name].value(decision)}" for name, decision in taken.items())
        return f"{text}  {chosen}"

    def task(self, space: Any) -> Task:
        """Return the task of the search's evaluations. Loads the data, so that their errors are raised here."""
        return self._task(space, self.evaluator or self._supernet(), self.network, "network")

    def supernet_task(self, space: Any) -> Task | None:
        """Return the task of the supernet search; None without a supernet. Loads its data."""
        if self.supernet is None:
            return None
        return self._task(space, self.supernet, {**self.network, **self.supernet.network}, "supernet.network")

    def _supernet(self) -> SupernetSearch:
        assert self.supernet is not None, "checked when the experiment was made"
        return self.supernet

    def final_task(self, space: Any) -> tuple[Evaluator, Task] | None:
        """Return the evaluator and the task of the final training; None without one. Loads its data."""
        if self.final is None:
            return None
        evaluator = self.final.evaluator or self.evaluator
        if evaluator is None:
            raise RecordError("final.evaluator is missing: a supernet cannot test; give one, such as Training", "final")
        task = self._task(space, evaluator, {**self.network, **self.final.network}, "final.network")
        return evaluator, replace(task, fit=self.final.fit)

    @property
    def data(self) -> Any:
        """The images that candidates are trained on, or else the supernet; None where there are none."""
        readers: tuple[object, ...] = parts_in(self.evaluator) or (self.supernet,)
        return next((data for each in readers if (data := getattr(each, "data", None)) is not None), None)

    def readers(self) -> dict[str, Evaluator | SupernetSearch]:
        """Return the parts that read data, by their key in the experiment."""
        found: dict[str, Evaluator | SupernetSearch] = {} if self.supernet is None else {"supernet": self.supernet}
        final = self.final.evaluator if self.final is not None else None
        for key, evaluator in (("evaluator", self.evaluator), ("final.evaluator", final)):
            parts = parts_in(evaluator)
            found |= {key if len(parts) == 1 else f"{key}[{i}]": part for i, part in enumerate(parts)}
        return found

    def check_options(self) -> None:
        """Raise RecordError where the family's networks do not have an option."""
        self.network_options(self.network, "network")
        if self.supernet is not None:
            self.network_options(self.supernet.network, "supernet.network")
        if self.final is not None:
            self.network_options(self.final.network, "final.network")

    def network_options(self, options: Options, where: str = "network") -> dict[str, Any]:
        """Return the options, checked against the parameters of the family's network function after the architecture."""
        return self.family().network_arguments(options, where)

    def resolved(self, tasks: Sequence[Task], supernet: Task | None = None) -> Experiment:
        """Return the experiment with every option of its space and networks written out.

        `tasks` are those of the search and of the final training, if there is one; `supernet` is that of the supernet search.
        """
        space = named_space(self.space).written(_defaults(self.family().space))
        final = self.final and replace(self.final, network=_chosen(tasks[-1]))
        searched = replace(self.supernet, network=_chosen(supernet)) if self.supernet and supernet else self.supernet
        return replace(self, space=space, network=_chosen(tasks[0]), final=final, supernet=searched)

    def _task(self, space: Any, evaluator: Evaluator | SupernetSearch, network: Options, where: str) -> Task:
        return task_of(self.space_name, space, evaluator.prepare(architecture_of(space)), network, where)


def open_places(plain: Any, where: str) -> Iterator[str]:
    """Yield the key of every open choice in plain data."""
    if isinstance(plain, list):
        for i, part in enumerate(plain):
            yield from open_places(part, f"{where}[{i}]")
    elif isinstance(plain, Mapping) and list(plain) == ["Choice"]:
        yield where
    elif isinstance(plain, Mapping):
        for key, value in plain.items():
            yield from open_places(value, f"{where}.{key}".removeprefix("."))


def task_of(name: str, space: Any, fixed: Options, network: Options, where: str) -> Task:
    """Return the task of evaluating networks of a family, from what the data fix of a network and the options of the experiment.

    `name` is the family, `fixed` comes from the data (`input`, `classes`, ...), and `where` is the key of the options `network`.
    Raises RecordError where the two contradict, or an option is not one of the family's.
    """
    known = family(name)
    stack = known.network
    # a family whose networks have no head, such as strings of bits, takes no number of classes
    of_data = {key: value for key, value in fixed.items() if key in signature(stack).parameters}
    for key in of_data.keys() & network.keys():
        if network[key] != of_data[key]:
            place = f"{where}.{key}"
            raise RecordError(f"{place} is {network[key]}, and the data have {of_data[key]}: leave it out", place)
    options = _defaults(stack) | known.network_arguments({**network, **of_data}, where)
    describe_weights = {"classes": fixed.get("class_names", ()), "preprocessing": fixed.get("preprocessing")}
    return Task(space, stack, options, fixed.get("input", (3, 32, 32)), family=name, **describe_weights)


def _chosen(task: Task) -> Options:
    """Return the chosen options of a network. The number of classes is left out where the data give it."""
    return {name: value for name, value in task.options.items() if name != "classes" or not task.classes}


def _defaults(function: Any) -> dict[str, Any]:
    parameters = signature(function).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not Parameter.empty}


def load(path: Path | str, assignments: Sequence[str] = ()) -> Experiment:
    """Read an experiment from a file, or by the name of one that ships with the library, with `key=value` assignments.

    A space in another file is copied into the experiment. Raises RecordError with the file, the line, the key and the nearest
    known name where something is wrong.
    """
    experiment = load_declared(experiment_file(path), assignments, Experiment, _check)
    # written out, so that the run folder does not depend on the file of the space
    named = named_space(experiment.space)
    network = {**named.network, **experiment.network}
    # the name of a family, with or without options, stays as it is; a space from a file is copied in
    is_whole = named.tree is None and named.name in (experiment.space, *experiment.space)
    return replace(experiment, space=experiment.space if is_whole else named.written({}), network=network)


def experiment_file(name: Path | str) -> Path:
    """Return the file of an experiment by name or path. Raises RecordError where there is none."""
    return find_declared(str(name), experiments(), "experiment")


def _check(experiment: Experiment) -> None:
    experiment.open_space()
    experiment.check_options()
