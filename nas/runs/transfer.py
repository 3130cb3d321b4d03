"""Transfer runs: every trial through the run's executor, in its own run folder, and the results."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from nas.data import Augmentation, Data
from nas.evaluation.evaluator import Evaluation, Job
from nas.evaluation.trained_network import TrainedNetwork
from nas.family import StackedNetwork
from nas.files import write_atomically
from nas.history import History
from nas.journal import replay
from nas.lock import held
from nas.places import absolute
from nas.plain import from_plain, read, write
from nas.records import RecordError, digest, import_all, nearest, record_classes, to_plain
from nas.runs.architecture import find_checkpoint, find_with_weights
from nas.runs.declared import load_declared
from nas.runs.folder import make_folder, provenance, reassigned, write_declared
from nas.runs.run_data import RunData, check_places, find_data, hold_to_data, write_data
from nas.runs.transfer_trials import SHORT, Transfer, adapted, check_transfer, found_by, perform_transfer
from nas.runs.yaml_file import override
from nas.runtime.executor import Executor
from nas.runtime.queue import Views, carry_out
from nas.runtime.rules import Budget, Rules
from nas.runtime.stage import RunStage
from nas.strategies.fixed_proposals import FixedProposals
from nas.training import save_weights
from nas.training.checkpoint import network_of
from nas.training.peers import peers

MAY_CHANGE = ("execution",)
"""The keys that may be reassigned when a transfer is resumed."""

TRAINED = "trained.safetensors"

EXECUTOR = "executor.json"

LABELS = {
    "linear_probe": "linear probe",
    "fine_tune": "fine-tuning",
    "gradual": "stage by stage",
    "scratch": "from scratch",
    "prototypes": "prototypes",
}


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """A user's request: a checkpoint, the target data, and settings as `key=value`.

    With `weights`, a state dict from elsewhere, `checkpoint` is the name of its network.
    """

    checkpoint: str
    to: str
    assignments: Sequence[str] = ()
    weights: Path | None = None


@dataclass(frozen=True, slots=True)
class TransferPlan:
    """A transfer that is ready to run, with its data loaded: the declaration, the network with its weights, and the executor."""

    declared: Transfer
    found: StackedNetwork
    weights: Path
    executor: Executor
    data: RunData = field(default_factory=RunData)

    @property
    def trained(self) -> TrainedNetwork:
        """The trained network, as a trial needs it."""
        return TrainedNetwork(self.found, self.weights)


def plan_transfer(asked: TransferRequest, executor: Executor) -> TransferPlan:
    """Find the checkpoint and load the data, so that errors are raised before anything is trained."""
    if asked.weights is not None:
        trained = find_with_weights(asked.checkpoint, asked.weights)
        found, weights = trained.stacked, trained.weights
    else:
        found, weights = find_checkpoint(asked.checkpoint)
    data = adapted(data_named(asked.to), found.input)
    # the padding of CIFAR's 32 pixels is 4, and larger images shift by as much of their height
    recipe = replace(SHORT, augmentation=Augmentation(crop_pad=found.input[1] // 8))
    plain: dict[str, Any] = {"data": to_plain(data), "recipe": to_plain(recipe)}
    override(plain, asked.assignments)
    declared: Transfer = absolute(from_plain(plain, Transfer))
    executor.check()
    planned = TransferPlan(declared, found, weights.resolve(), executor.settled(), find_data({"data": declared}))
    check_transfer(declared, planned.trained)
    return planned


def data_named(name: str) -> Data:
    """Return the data set of a name: a folder of images, a data set that needs no settings, or one of the hub."""
    import_all("nas.data")
    known = record_classes(Data)
    if name in known and Path(name).is_dir():
        raise RecordError(
            f"{name} is a folder here and a data set of the library: say ./{name} for the folder, or rename it"
        )
    if Path(name).is_dir():
        return from_plain({"ImageFolder": {"path": name}}, Data)
    if name in known:
        return from_plain({name: {}}, Data)
    if "/" in name and not name.startswith((".", "/")):
        return from_plain({"HubImages": {"name": name}}, Data)
    raise RecordError(f"{name!r} is no folder here, and no data set: {nearest(name, known)}")


def describe(trial: Any) -> str:
    """Return a trial as short text."""
    return f"{LABELS[trial.way]}, {trial.labels_percent:g} % of the labels"


def create_transfer(folder: Path, planned: TransferPlan) -> TransferPlan:
    """Make a run folder with the declared transfer, its executor and a copy of the initial weights; return the plan with these.

    Raises RecordError where the folder exists.
    """
    make_folder(folder)
    write_declared(folder / "transfer.yaml", planned.declared, provenance())
    write_data(folder, planned.data)
    # a copy, since the trials may be resumed after the source run is gone
    if planned.weights.suffix == ".safetensors" and network_of(planned.weights):
        shutil.copyfile(planned.weights, folder / TRAINED)
    else:
        network = digest(planned.found.tree())
        save_weights(planned.trained.model(), folder / TRAINED, network, write(planned.found))
    (folder / TRAINED).with_suffix(".json").write_text(write(planned.found), encoding="utf-8")
    (folder / EXECUTOR).write_text(write(planned.executor), encoding="utf-8")
    return replace(planned, weights=(folder / TRAINED).resolve())


def load_transfer(folder: Path, assignments: Sequence[str] = (), changed_data: bool = False) -> TransferPlan:
    """Read the transfer of a run folder; the keys in MAY_CHANGE and paths of data may be reassigned.

    The data must be those that it began with, unless `changed_data`. Raises RecordError where the folder holds no transfer.
    """
    declared = reassigned(folder / "transfer.yaml", assignments, MAY_CHANGE, partial(load_declared, kind=Transfer))
    executor: Executor = read(json.loads((folder / EXECUTOR).read_text(encoding="utf-8")), EXECUTOR, Executor)
    found, weights = find_checkpoint(str(folder / TRAINED))
    check_places(folder, declared)
    data = find_data({"data": declared})
    hold_to_data(folder, data, changed_data)
    return TransferPlan(declared, found, weights.resolve(), executor, data)


def run_trials(planned: TransferPlan, folder: Path, views: Views) -> History:
    """Run all trials of a transfer that are not done; failed ones are retried."""
    trials = planned.declared.trials()
    never_given_up = len(trials) + 1  # a trial that fails says nothing of the others
    rules = Rules(Budget(len(trials)), "test_top1_percent", "evaluate", never_given_up, planned.declared.seed)
    source = FixedProposals(tuple((trial, trial.name) for trial in trials))
    stage = RunStage("transfer", source, partial(_carry_out, planned, folder), rules, describe, trials)
    with held(folder):
        history = carry_out(stage, planned.executor, views, folder)
    return history


def _carry_out(planned: TransferPlan, folder: Path, job: Job) -> Evaluation:
    """Run one trial, and describe its network in a file next to its weights."""
    scores = yield from perform_transfer(planned.declared, planned.trained, folder, job)
    found = replace(found_by(planned.declared, planned.trained, job.architecture), scores=scores)
    if peers().rank == 0:
        path = folder / f"{job.architecture.name}.json"
        write_atomically(path, lambda beside: beside.write_text(write(found), encoding="utf-8"))
    return scores


def transferred(folder: Path) -> History:
    """Return the history so far of a transfer's trials; empty where none has begun."""
    journal = folder / "trials.jsonl"
    return replay(journal, "test_top1_percent") if journal.is_file() else History("test_top1_percent")


def by_way(history: History) -> dict[str, list[tuple[float, float]]]:
    """Return the successful trials by way, each as (percent of the labels, accuracy in percent)."""
    found: dict[str, list[tuple[float, float]]] = {}
    for done in history.scored:
        trial = done.architecture
        found.setdefault(trial.way, []).append((trial.labels_percent, done.scores["test_top1_percent"]))
    return {way: sorted(found[way]) for way in LABELS if way in found}
