"""What a report says of one run: plain numbers, words and columns, which become compact JSON.

Times are in seconds since the run's first event. Where a thing is not known it is None, and where a whole part is missing,
`RunSummary.missing` says why. Columns of one class are equally long, and a row is the same place in all of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

Texts = Sequence[str]
Indices = Sequence[int]
Numbers = Sequence[float]
MaybeNumbers = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Head:
    """What was run, with what, and how it stands.

    `kind` is "search", "training" or "transfer"; `state` is "ended", "running", "stopped" (which a resumed
    run is not) or, without locks, "unknown".
    `objective` is the score that counts, `minimises` whether less of it is better. `started` and `last` are dates in ISO 8601,
    the last that of the last event. `settings` are what else one wants to know, by what it is called.
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

    `params` and `macs` are of the network that `size_of` names, as the one that was scored. `svg` is empty
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
    """What came of the final trainings: `roles` are "best", "random" or "random 1", ...; a failed one has a reason."""

    roles: Texts
    scores: Mapping[str, MaybeNumbers]
    failures: Sequence[str | None]


@dataclass(frozen=True, slots=True)
class Band:
    """Random search: the mean of its best so far at each `x`, and from where to where eight of ten runs are."""

    x: Numbers
    mean: Numbers
    low: Numbers
    high: Numbers


@dataclass(frozen=True, slots=True)
class Baseline:
    """Random search to compare with: `how` says in a sentence from what it is known."""

    how: str
    by_evaluations: Band
    by_seconds: Band


@dataclass(frozen=True, slots=True)
class Curve:
    """The best so far, one row for each improvement and one for the end: `best` of the objective after so much.

    `evaluations` counts all that finished, also failed and reused ones. `seconds` are by the `clock`: "wall" is time that
    passed while the run worked, "simulated" is that of the table, all evaluations one after another.
    """

    evaluations: Indices
    seconds: Numbers
    best: Numbers
    number: Indices
    clock: Literal["wall", "simulated"]
    baseline: Baseline | None


@dataclass(frozen=True, slots=True)
class Change:
    """One decision in which a child differs from its parent; empty where the choice is not open."""

    choice: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Ancestor:
    """The winner or one of its ancestors; `changes` are those from the first of its parents, `children` how many it has."""

    number: int
    origin: str
    parents: Indices
    value: float | None
    children: int
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class SharePanel:
    """How often each option was taken: for each label the percentages after so many `evaluations`."""

    title: str
    labels: Texts
    evaluations: Indices
    percent: Sequence[Numbers]


@dataclass(frozen=True, slots=True)
class Front:
    """Architectures by their objective and what they cost (`cost` is "macs" or "params"), each once, the cheapest first.

    `on_front` says which are on the Pareto front: nothing that costs no more is better. `note` says what is left out.
    """

    cost: str
    number: Indices
    costs: Numbers
    value: Numbers
    on_front: Indices
    note: str


@dataclass(frozen=True, slots=True)
class LearntAlphas:
    """The strengths of one choice's options: a row a label, a column an epoch; None where an option is not there."""

    name: str
    labels: Texts
    strongest: str
    strengths: Sequence[MaybeNumbers]


@dataclass(frozen=True, slots=True)
class SupernetCurves:
    """A search with a supernet: what was measured after each epoch by its name, the monitor's warnings, and the alphas.

    `measured` has loss, top1_percent, alphas_loss, alphas_top1_percent, entropy (1 undecided, 0 decided), skips, skippable,
    eigenvalue and seconds. `phases` are the epochs after which a phase ends, `warnings` the monitor's by epoch.
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
    """What one worker did. It is idle where it does nothing while it is alive: from its first work to the end of a session."""

    name: str
    done: int
    failed: int
    busy_seconds: float
    idle_percent: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A work that failed, when, and why; `number` is its own in its phase."""

    phase: str
    number: int
    worker: str
    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Who did what when: bars as columns. Where there are many, neighbours are one bar of several `works`.

    Each resumed run begins with new workers: `at_once` is how many were alive at the same time, at most.
    `worker` and `phase` count in `workers` and `phases` ("supernets", "search", "final"); `first` is the number of a bar's
    first work, `failed` how many of its works failed. `pauses` are (from, to) where the run was stopped: they count as nobody's
    idleness. `waited_seconds` is how long proposals waited for a worker, on average; `failures` are the last ones.
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
class Costs:
    """What it took. `seconds` is the time in which the run worked, `evaluation_seconds` what evaluations add up to.

    Where the evaluations' seconds are a table's, they are `simulated`. `worker_hours` are those in which workers were busy;
    `cpu_hours` and `gpu_hours` are these times what a worker holds, None where that is not known.
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
    supernets: int
    finals: int


@dataclass(frozen=True, slots=True)
class Evaluations:
    """All proposals of a search: row i is proposal i.

    `origin`, `worker`, `failure` and `architecture` count in `origins`, `workers`, `failures` (reasons) and the columns
    `digests` and `texts`; -1 is none. What is neither failed nor has a score is in flight. `scores` are by name with unit.
    `order` is when a row finished: 0 the first, -1 not yet; a `worker` named "reused" looked an equal architecture's up.
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
    """The epochs of one training, `role` "best", "random 1" or the trial's name: what was measured, by its name."""

    role: str
    epochs: Indices
    of_epochs: int
    measured: Mapping[str, MaybeNumbers]


@dataclass(frozen=True, slots=True)
class Test:
    """What was measured of trained weights on test images; classes are columns, the class's images and those right."""

    role: str
    measured: Mapping[str, float]
    classes: Texts
    images: Indices
    right_percent: Numbers


@dataclass(frozen=True, slots=True)
class Trials:
    """The trials of a transfer as columns: the way in words, percent of the labels, test accuracy in percent, seconds."""

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
    """The resolved YAML as text, the command lines that run the same again, and what to watch. `expected` are published."""

    yaml: str
    commands: Texts
    notes: Texts
    expected: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """All that a report says of a run; `missing` says of each part that is None or empty, by its name, why it is."""

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
    supernets: Sequence[SupernetCurves] = ()
    timeline: Timeline | None = None
    costs: Costs | None = None
    evaluations: Evaluations | None = None
    trainings: Sequence[TrainingCurves] = ()
    tests: Sequence[Test] = ()
    trials: Trials | None = None
    missing: Mapping[str, str] = field(default_factory=dict)


def to_json(summaries: Iterable[RunSummary]) -> str:
    """Return summaries as compact JSON, `{"runs": [...]}`: fields by name, numbers to six digits, and no NaN."""
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
    """Return a number to six digits, a whole one as such, and None for one that is not finite."""
    if not math.isfinite(value):
        return None
    rounded = value if value.is_integer() else float(f"{value:.6g}")
    return int(rounded) if rounded.is_integer() else rounded
