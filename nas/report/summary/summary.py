"""The content of a report on one run: plain numbers, texts and columns, written as compact JSON.

Times are in seconds since the run's first event. An unknown value is None; where a whole part is missing,
`RunSummary.missing` gives the reason. The columns of one class have the same length: index i is row i in each.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

from nas.report.summary.candidates import LearningCurve, Objectives, Rung
from nas.report.summary.checklist_item import ChecklistItem

Texts = Sequence[str]
Indices = Sequence[int]
Numbers = Sequence[float]
MaybeNumbers = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a report: the run's name, provenance, settings and state.

    `kind` is "search", "training" or "transfer"; `state` is "ended", "running", "stopped" (which a resumed
    run is not) or, without locks, "unknown".
    `objective` is the name of the score that counts, `minimises` whether a lower score is better. `started` and `last` (the
    last event) are dates in ISO 8601. `settings` are further settings by name.
    """

    kind: Literal["search", "training", "transfer"]
    name: str
    folder: str
    objective: str
    minimises: bool
    seed: int
    started: str
    last: str
    command: str
    versions: str
    hardware: str
    state: Literal["ended", "running", "stopped", "unknown"] = "stopped"
    space: str = ""
    strategy: str = ""
    evaluator: str = ""
    executor: str = ""
    budget: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Best:
    """The best architecture: its number in the run (None for a training), its text, scores, size and drawing.

    `params` and `macs` belong to the network that `size_of` names, such as the scored one. `svg` is empty
    where the architecture has no drawing.
    """

    number: int | None
    digest: str
    text: str
    scores: Mapping[str, float]
    params: float | None
    macs: float | None
    size_of: str
    svg: str


@dataclass(frozen=True, slots=True)
class Finals:
    """The results of the final trainings: `roles` are "best", "random" or "random 1", ...; a failure is its reason or None."""

    roles: Texts
    scores: Mapping[str, MaybeNumbers]
    failures: Sequence[str | None]


@dataclass(frozen=True, slots=True)
class Band:
    """The best so far of random search at each `x`: its mean, and the 10th and 90th percentiles (`low`, `high`) of its runs."""

    x: Numbers
    mean: Numbers
    low: Numbers
    high: Numbers


@dataclass(frozen=True, slots=True)
class Baseline:
    """The random search baseline; `how` explains in a sentence whether it is simulated or estimated, and from what."""

    how: str
    by_evaluations: Band
    by_seconds: Band


@dataclass(frozen=True, slots=True)
class Curve:
    """The best objective so far, one row for each improvement and one for the end; `number` is the best one's proposal.

    `evaluations` counts all finished ones, also failed and reused ones. `seconds` depend on the `clock`: "wall" is wall-clock
    without pauses; "simulated" is the sum of the table's seconds, as if evaluations ran one after another.
    """

    evaluations: Indices
    seconds: Numbers
    best: Numbers
    number: Indices
    clock: Literal["wall", "simulated"]
    baseline: Baseline | None


@dataclass(frozen=True, slots=True)
class Change:
    """One decision in which a child differs from its parent; `before` or `after` is "" where the choice is not open."""

    choice: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Ancestor:
    """The winner or one of its ancestors; `changes` are those from its first parent, `children` is a count."""

    number: int
    origin: str
    parents: Indices
    value: float | None
    children: int
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class SharePanel:
    """The share of each option over a search: `percent` has a row per label and a column per entry of `evaluations`."""

    title: str
    labels: Texts
    evaluations: Indices
    percent: Sequence[Numbers]


@dataclass(frozen=True, slots=True)
class Front:
    """The distinct architectures by objective and cost (`cost` is "macs" or "params"), cheapest first.

    `on_front` is 1 on the Pareto front (no better architecture costs the same or less), else 0. `note` says which are left out.
    """

    cost: str
    number: Indices
    costs: Numbers
    value: Numbers
    on_front: Indices
    note: str


@dataclass(frozen=True, slots=True)
class LearntAlphas:
    """The strengths of one choice's options: a row per label, a column per epoch; None once an option is dropped."""

    name: str
    labels: Texts
    strongest: str
    strengths: Sequence[MaybeNumbers]


@dataclass(frozen=True, slots=True)
class SupernetCurves:
    """A search with a supernet: the measurements after each epoch by name, the monitor's warnings, and the alphas.

    `measured` has loss, top1_percent, alphas_loss, alphas_top1_percent, entropy (1 undecided, 0 decided), skips, skippable,
    eigenvalue and seconds. `phases` are the epochs after which a phase ends; `warnings` are keyed by epoch.
    """

    seed: int
    method: str
    epochs: Indices
    measured: Mapping[str, MaybeNumbers]
    phases: Indices
    warnings: Mapping[int, str]
    choices: Sequence[LearntAlphas]
    scores: Mapping[str, float]
    note: str


@dataclass(frozen=True, slots=True)
class Worker:
    """The work of one worker. It is idle while it is alive (from its first work to the end of a session) but not busy."""

    name: str
    done: int
    failed: int
    busy_seconds: float
    idle_percent: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed evaluation, its time and reason; `number` counts within its phase."""

    phase: str
    number: int
    worker: str
    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The workers' timeline: its bars as columns. Where there are many, neighbours are merged to one bar of several `works`.

    Each resumed run begins with new workers, so `at_once` is the largest number alive at the same time.
    `worker` and `phase` are indices into `workers` and `phases` ("supernets", "search", "final"). `first` is the number of
    a bar's first work, `failed` how many of its works failed. `pauses` are (from, to) where the run was stopped; they are no
    idle time. `waited_seconds` is the mean time that a proposal waited for a worker. `failures` are the last ones.
    """

    workers: Sequence[Worker]
    at_once: int
    phases: Texts
    worker: Indices
    phase: Indices
    begin: Numbers
    end: Numbers
    first: Indices
    works: Indices
    failed: Indices
    pauses: Sequence[tuple[float, float]]
    waited_seconds: float
    failures: Sequence[Failure]


@dataclass(frozen=True, slots=True)
class MachineHours:
    """The costs of a run. `seconds` is wall-clock without pauses, `evaluation_seconds` the sum over evaluations.

    `simulated` is whether the evaluations' seconds come from a table. `worker_hours` are the hours in which workers were busy;
    `cpu_hours` and `gpu_hours` are these times the CPUs and GPUs of a worker, None where those are unknown.
    """

    seconds: float
    evaluation_seconds: float | None
    seconds_per_evaluation: float | None
    simulated: bool
    worker_hours: float
    cpu_hours: float | None
    gpu_hours: float | None
    evaluated: int
    failed: int
    reused: int
    in_flight: int
    distinct: int
    rejected: int
    skipped: int
    stopped: int
    epochs: int
    supernets: int
    finals: int


@dataclass(frozen=True, slots=True)
class Evaluations:
    """All proposals of a search: row i is proposal i.

    `origin`, `worker` and `failure` are indices into `origins`, `workers` and `failures` (reasons), `architecture` into
    `digests` and `texts`; -1 is none. A row with neither a failure nor a score is in flight. `scores` are by name with unit.
    `order` is the finishing order: 0 the first, -1 not yet. A `worker` named "reused" took an equal architecture's scores.
    """

    origins: Texts
    workers: Texts
    failures: Texts
    digests: Texts
    texts: Texts
    origin: Indices
    parents: Sequence[Indices]
    architecture: Indices
    scores: Mapping[str, MaybeNumbers]
    worker: Indices
    failure: Indices
    began: MaybeNumbers
    ended: MaybeNumbers
    order: Indices


@dataclass(frozen=True, slots=True)
class TrainingCurves:
    """The epochs of one training: measurements by name; `role` is "best", "random 1" or the trial's name."""

    role: str
    epochs: Indices
    of_epochs: int
    measured: Mapping[str, MaybeNumbers]


@dataclass(frozen=True, slots=True)
class TestSummary:
    """The test of trained weights: measurements by name, and for each class its images and the percentage classified right."""

    role: str
    measured: Mapping[str, float]
    classes: Texts
    images: Indices
    right_percent: Numbers


@dataclass(frozen=True, slots=True)
class Trials:
    """The trials of a transfer as columns: the way in words, percent of the labels used, test top-1 in percent, seconds."""

    way: Texts
    labels_percent: Numbers
    repeat: Indices
    top1_percent: MaybeNumbers
    seconds: MaybeNumbers
    worker: Texts
    failure: Texts
    left: int


@dataclass(frozen=True, slots=True)
class Reproduction:
    """How to repeat a run: the resolved YAML, the command lines, and caveats (`notes`). `expected` are published numbers."""

    yaml: str
    commands: Texts
    notes: Texts
    expected: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The whole content of a report on a run; `missing` maps each part that is None or empty to the reason."""

    head: Head
    reproduction: Reproduction
    best: Best | None = None
    finals: Finals | None = None
    curve: Curve | None = None
    ancestors: Sequence[Ancestor] = ()
    shares: Sequence[SharePanel] = ()
    shares_left_out: int = 0
    share_window: int = 0
    fronts: Sequence[Front] = ()
    objectives: Objectives | None = None
    rungs: Sequence[Rung] = ()
    learning: Sequence[LearningCurve] = ()
    learning_left_out: int = 0
    importances: Mapping[str, float] = field(default_factory=dict)
    supernets: Sequence[SupernetCurves] = ()
    timeline: Timeline | None = None
    costs: MachineHours | None = None
    evaluations: Evaluations | None = None
    trainings: Sequence[TrainingCurves] = ()
    tests: Sequence[TestSummary] = ()
    trials: Trials | None = None
    checklist: Sequence[ChecklistItem] = ()
    missing: Mapping[str, str] = field(default_factory=dict)


def to_json(summaries: Iterable[RunSummary]) -> str:
    """Return summaries as compact JSON, `{"runs": [...]}`: fields by name, numbers to six digits, NaN as null."""
    plain = {"runs": [_plain(each) for each in summaries]}
    return json.dumps(plain, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return _short(value)
    if isinstance(value, int | str) or value is None:
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return [_plain(each) for each in value]


def _short(value: float) -> float | int | None:
    """Return a number rounded to six digits, whole numbers as int, and None where it is not finite."""
    if not math.isfinite(value):
        return None
    rounded = value if value.is_integer() else float(f"{value:.6g}")
    # 12 instead of 12.0: two characters less for each number of a large table
    return int(rounded) if rounded.is_integer() else rounded
