"""The search with a supernet: real images, real processes, and the same end whether it was cut off or not."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from methods import METHOD_CLASSES

from nas.choice import choices
from nas.data import Augmentation, Digits, Images, normalise
from nas.evaluation.evaluator import Job, Task
from nas.family import families
from nas.history import History, Proposal
from nas.plain import from_plain, read
from nas.records import RecordError
from nas.runs.folder import discard_if_empty
from nas.space import decisions, sample
from nas.strategies.fixed_proposals import FixedProposals
from nas.supernets.darts import Darts
from nas.supernets.derivation import prune
from nas.supernets.drnas import DrNas
from nas.supernets.gates import Gate, StepContext
from nas.supernets.grouped import group_cells
from nas.supernets.mixed import Mixed
from nas.supernets.monitor import Monitor, count_skips, entropy, largest_eigenvalue
from nas.supernets.paths import PathScores
from nas.supernets.pc_darts import PcDarts
from nas.supernets.pdarts import PDarts
from nas.supernets.perturbation import _Masks
from nas.supernets.recipe import AlphasRecipe, SupernetSearch, WeightsRecipe
from nas.supernets.search import SupernetResult, _Run, search_supernet
from nas.supernets.snas import Snas
from nas.supernets.spos import Spos
from nas.supernets.supernet import Supernet, transplant
from nas.training import Diverged, save_weights
from search_spaces import darts, nasbench201

pytest.importorskip("sklearn")
pytestmark = pytest.mark.usefixtures("one_thread")

SPACE = nasbench201.nasbench201()
TASK = Task(SPACE, nasbench201.network, {"channels": 4, "cells_per_stage": 1, "classes": 10}, (1, 8, 8))
SMALL = SupernetSearch(
    Darts(),
    Digits(),
    epochs=3,
    weights=WeightsRecipe(batch=50, lr=0.1, augmentation=Augmentation(crop_pad=1)),
    alphas=AlphasRecipe(images=200, lr=0.05),
    images=200,
)


def run_to_end(
    declared: SupernetSearch, folder: Path, *, task: Task = TASK, checkpoint: Path | None = None, stop_after: int = 99
) -> tuple[list[Any], dict[str, float], SupernetResult | None]:
    """Return the progress, the scores and what was found; or leave off after some epochs, as a worker that dies."""
    going = search_supernet(declared, folder, True, task, Job(0, None, 7, checkpoint))
    shown: list[Any] = []
    while len(shown) < stop_after:
        try:
            shown.append(next(going))
        except StopIteration as end:
            return shown, end.value, searched(folder)
    return shown, {}, None


def searched(folder: Path, seed: int = 0) -> SupernetResult:
    path = folder / f"{seed}.json"
    found: SupernetResult = read(json.loads(path.read_text(encoding="utf-8")), str(path), SupernetResult)
    return found


def without_seconds(found: SupernetResult) -> SupernetResult:
    epochs = tuple(replace(epoch, seconds=0.0) for epoch in found.epochs)
    return replace(found, epochs=epochs, scores={**found.scores, "seconds": 0.0})


def test_a_search_ends_with_a_member_its_scores_and_its_weights(tmp_path: Path) -> None:
    shown, scores, found = run_to_end(SMALL, tmp_path)
    assert found is not None
    assert [each.epoch for each in shown] == [1, 2, 3]
    assert len(decisions(SPACE, found.architecture)) == 6
    assert found.scores == scores
    assert scores["validation_top1_percent"] > 15
    assert scores["skips"] == count_skips(SPACE, found.architecture)[0]
    assert found.options[0]["0-1"] == ("Zero", "Skip", "Conv 1", "Conv 3", "AvgPool 3")
    assert (tmp_path / "0.safetensors").stat().st_size > 1000
    first, last = found.epochs[0], found.epochs[-1]
    assert last.loss < first.loss
    assert last.entropy < first.entropy < 1
    assert all(sum(each) == pytest.approx(1, abs=1e-5) for each in last.strengths.values())
    assert first.strengths != last.strengths


def test_a_search_that_was_cut_off_ends_bit_by_bit_as_if_it_had_not_been(tmp_path: Path) -> None:
    declared = replace(SMALL, monitor=Monitor(hessian_every=2))
    _, _, whole = run_to_end(declared, tmp_path / "whole")
    checkpoint = tmp_path / "cut.pt"
    run_to_end(declared, tmp_path / "cut", checkpoint=checkpoint, stop_after=2)
    shown, _, resumed = run_to_end(declared, tmp_path / "cut", checkpoint=checkpoint)
    assert [each.epoch for each in shown] == [3]
    assert whole is not None
    assert resumed is not None
    assert without_seconds(resumed) == without_seconds(whole)
    weights = [(tmp_path / each / "0.safetensors").read_bytes() for each in ("whole", "cut")]
    assert weights[0] == weights[1]


def test_a_checkpoint_of_another_search_is_refused(tmp_path: Path) -> None:
    run_to_end(SMALL, tmp_path, checkpoint=tmp_path / "cut.pt", stop_after=1)
    with pytest.raises(RecordError, match="is of another run"):
        run_to_end(replace(SMALL, epochs=4), tmp_path, checkpoint=tmp_path / "cut.pt")


@pytest.mark.parametrize("method", [Darts("second"), Darts("exact"), Snas()], ids=["second", "exact", "snas"])
def test_other_ways_to_learn_run_in_the_loop(method: Any, tmp_path: Path) -> None:
    _, scores, found = run_to_end(replace(SMALL, method=method, epochs=1), tmp_path)
    assert found is not None
    assert scores["entropy"] < 1
    assert (found.epochs[0].alphas_loss is None) == method.joint


@pytest.mark.slow
def test_phases_prune_the_space_deepen_the_network_and_resume(tmp_path: Path) -> None:
    space = darts.darts()
    task = Task(space, darts.network, {"channels": 4, "layers": 3, "classes": 10}, (1, 8, 8))
    method = PDarts(layers=(3, 4, 5), options=(8, 5, 3), weights_only=0)
    declared = replace(SMALL, method=method, images=100, alphas=AlphasRecipe(images=100, lr=0.05))
    checkpoint = tmp_path / "cut.pt"
    run_to_end(declared, tmp_path, task=task, checkpoint=checkpoint, stop_after=2)
    shown, _, found = run_to_end(declared, tmp_path, task=task, checkpoint=checkpoint)
    assert found is not None
    assert [each.epoch for each in shown] == [3]
    assert [epoch.phase for epoch in found.epochs] == [0, 1, 2]
    assert [len(options["normal/0-2"]) for options in found.options] == [8, 5, 3]
    assert [len(epoch.strengths["normal/0-2"]) for epoch in found.epochs] == [8, 5, 3]
    assert decisions(space, found.architecture), "a member of the whole space"


@pytest.mark.slow
def test_perturbation_derives_another_way(tmp_path: Path) -> None:
    _, _, found = run_to_end(replace(SMALL, derivation="perturbation", tune_epochs=1, epochs=2), tmp_path)
    assert found is not None
    assert len(decisions(SPACE, found.architecture)) == 6


@pytest.mark.parametrize("derivation", ["alphas", "perturbation"])
@pytest.mark.parametrize("space", ["darts", "nasbench201"])
@pytest.mark.parametrize("name", METHOD_CLASSES)
@pytest.mark.slow
def test_every_method_searches_to_the_end(name: str, space: str, derivation: Any, tmp_path: Path) -> None:
    method: Any = METHOD_CLASSES[name]()
    if name == "PDarts":  # its default is for 75 epochs, and the layers are options of DARTS alone
        method = replace(method, layers=(3, 3, 3) if space == "darts" else (), weights_only=0)
    if derivation == "perturbation" and not method.mixes_all:
        pytest.skip("refused: it computes only some of the options")
    family = families()[space]
    options = {"darts": {"channels": 12, "layers": 3}, "nasbench201": {"channels": 12, "cells_per_stage": 1}}[space]
    task = Task(family.space(), family.network, {**options, "classes": 10}, (1, 8, 8))
    declared = replace(SMALL, method=method, images=50, alphas=AlphasRecipe(images=30), derivation=derivation)
    _, scores, found = run_to_end(declared, tmp_path, task=task)
    assert found is not None
    assert decisions(task.space, found.architecture)
    assert all(math.isfinite(each) for each in scores.values())


def test_pc_darts_searches_the_space_of_darts_to_the_end(tmp_path: Path) -> None:
    """A path has two edges a node, and each other edge of its grouped cells mixes nothing on a part of the channels."""
    space = darts.darts()
    task = Task(space, darts.network, {"channels": 4, "layers": 3, "classes": 10}, (1, 8, 8))
    declared = replace(SMALL, method=PcDarts(), epochs=1, images=50, alphas=AlphasRecipe(images=30))
    _, scores, found = run_to_end(declared, tmp_path, task=task)
    assert found is not None
    assert decisions(space, found.architecture)
    assert 0 <= scores["validation_top1_percent"] <= 100


@pytest.mark.parametrize("method", [Darts(), Spos(), PcDarts(k=2)], ids=["grouped", "plain", "partial"])
def test_paths_are_scored_by_the_weights_of_the_run(method: Any, tmp_path: Path) -> None:
    """What scores the proposals of a strategy loads the supernet in another process: it must find the same paths."""
    declared = replace(SMALL, method=method, epochs=1)
    run = _Run(declared, TASK, Job(0, None, 7))
    run.epoch()
    save_weights(run.supernet.model, tmp_path / "0.safetensors")
    scores = PathScores(declared, TASK, tmp_path / "0.safetensors")
    for seed in range(2):
        architecture = sample(SPACE, Random(seed))
        found = end_of(scores(Job(seed, architecture, 7)))
        run.supernet.take(SPACE, architecture)
        right, images = 0, run.split.validation
        assert isinstance(images, Images)
        for part in torch.arange(len(images)).split(2 * declared.weights.batch):
            batch = images.at(part)
            with torch.no_grad():
                logits = run.supernet.eval()(normalise(batch.x, run.split.mean, run.split.std))
            right += int((logits.argmax(1) == batch.y).sum())
        assert found["validation_top1_percent"] == pytest.approx(100 * right / len(images))


def end_of(evaluation: Any) -> dict[str, float]:
    try:
        while True:
            next(evaluation)
    except StopIteration as end:
        return dict(end.value)


@pytest.mark.parametrize("form", ["plain", "grouped"])
def test_an_edge_that_is_taken_out_takes_its_bypass_with_it(form: str) -> None:
    """Without weights of its own an edge of DrNAS still passes most of its channels by the mixture."""
    space = darts.darts()
    net = Supernet(darts.network(space, 4, 3), DrNas(k=2, partial=(), options=()), (3, 8, 8))
    if form == "grouped":
        group_cells(net.model)
    masks, node = _Masks(net), choices(space)["normal/3"]
    net.moment = StepContext(0.0, torch.Generator().manual_seed(0))
    masks.lasting = masks.without(node, 0)
    gates = masks.gates()
    assert "normal/3" not in net.choices, "it has no weight that is learnt"
    assert gates["normal/3"].weights is not None
    assert gates["normal/3"].weights.tolist() == [0.0, 1.0, 1.0]
    x = torch.randn(2, 3, 8, 8)
    net.use(lambda: gates)
    masked = net(x)
    net.use(lambda: {**gates, "normal/3": Gate((1, 2), gates["normal/3"].weights, gates["normal/3"].scalars)})
    with torch.no_grad():
        torch.testing.assert_close(net(x), masked)
    net.use(lambda: {name: gate for name, gate in gates.items() if name != "normal/3"})
    assert not torch.allclose(net(x), masked)


def test_a_supernet_without_alphas_derives_the_best_of_its_paths(tmp_path: Path) -> None:
    _, scores, found = run_to_end(replace(SMALL, method=Spos(candidates=5)), tmp_path)
    assert found is not None
    assert decisions(SPACE, found.architecture)
    assert found.epochs[-1].alphas_loss is None
    assert not found.epochs[-1].strengths
    assert scores["validation_top1_percent"] >= 0


def test_early_stopping_takes_the_architecture_of_five_epochs_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = iter([1.0] * 6 + [10.0] * 50)
    monkeypatch.setattr("nas.supernets.search.largest_eigenvalue", lambda *_: next(measured))
    declared = replace(
        SMALL, epochs=30, images=60, alphas=AlphasRecipe(images=60, lr=0.3), monitor=Monitor(early_stop=True)
    )
    _, scores, found = run_to_end(declared, tmp_path)
    assert found is not None
    assert scores["epochs"] == 10
    assert found.architecture == Darts().derive_from(SPACE, found.epochs[4].strengths)


def test_the_monitor_warns_where_skips_prevail() -> None:
    assert Monitor().warning([(4, 6)] * 2) == "", "not yet"
    assert Monitor().warning([(4, 6), (3, 6), (4, 6)]) == ""
    assert "4 of 6 operations are skip connections, for 3 epochs in a row" in Monitor().warning([(0, 6), *[(4, 6)] * 3])
    assert not Monitor(early_stop=True).stops([1.0] * 10)
    assert not Monitor(early_stop=True).stops([1.0] * 5 + [2.0] * 4)
    assert Monitor(early_stop=True).stops([1.0] * 5 + [1.4] * 5)
    assert not Monitor().stops([1.0] * 5 + [1.4] * 5)


def test_entropy_is_one_where_undecided_and_nought_where_decided() -> None:
    assert entropy({"a": [0.25] * 4, "b": [0.5, 0.5]}) == pytest.approx(1)
    assert entropy({"a": [1.0, 0.0]}) == 0
    assert entropy({"a": [0.9, 0.1]}) == pytest.approx(0.469, abs=1e-3)


def test_the_largest_eigenvalue_is_that_of_the_hessian() -> None:
    torch.manual_seed(0)
    half = torch.randn(6, 6, dtype=torch.float64)
    hessian = half @ half.T
    alphas = [
        torch.nn.Parameter(torch.randn(2, 2, dtype=torch.float64)),
        torch.nn.Parameter(torch.randn(2, dtype=torch.float64)),
    ]

    def loss() -> torch.Tensor:
        flat = torch.cat([alpha.flatten() for alpha in alphas])
        return 0.5 * flat @ hessian @ flat + flat.sum()

    found = largest_eigenvalue(loss, alphas, torch.Generator().manual_seed(1), iterations=100)
    assert found == pytest.approx(float(torch.linalg.eigvalsh(hessian)[-1]), rel=1e-6)


def test_a_loss_that_is_no_number_ends_the_search(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="not finite at epoch 1"):
        run_to_end(replace(SMALL, weights=WeightsRecipe(batch=50, lr=1e30, clip=None)), tmp_path)


EXPERIMENT = """\
# A supernet search of a few seconds an epoch, and what is built on it.
space: nasbench201
network: {channels: 4, cells_per_stage: 1}
supernet:
  method: Darts
  data: Digits
  epochs: 8
  images: 400
  weights: {batch: 20, lr: 0.1, augmentation: {crop_pad: 1, flip: false}}
  alphas: {images: 400, lr: 0.05}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.yaml"
    path.write_text(EXPERIMENT, encoding="utf-8")
    return path


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command in a process of its own; it is gone when the test ends."""
    started: list[subprocess.Popen[str]] = []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}

    def start(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "nas.cli", *map(str, arguments)]
        out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment, text=True, **out))  # type: ignore[call-overload]
        return started[-1]

    yield start
    for process in started:
        process.kill()


def epochs_done(folder: Path) -> int:
    path = folder / "supernets" / "0.json"
    return len(searched(folder / "supernets").epochs) if path.exists() else 0


@pytest.mark.slow
def test_a_killed_search_resumes_to_the_same_alphas(
    experiment: Path, launch: Callable[..., subprocess.Popen[str]], call: Callable[..., Any], tmp_path: Path
) -> None:
    cut = launch("search", experiment, "--run-dir", "cut")
    deadline = time.monotonic() + 120
    while epochs_done(tmp_path / "cut") < 3:
        assert cut.poll() is None, cut.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(cut.pid, signal.SIGKILL)
    cut.wait(timeout=30)
    before = epochs_done(tmp_path / "cut")
    assert 3 <= before < 8
    for command in (("resume", tmp_path / "cut"), ("search", experiment, "--run-dir", tmp_path / "whole")):
        answer = call(*command)
        assert answer.returncode == 0, answer
    first, second = (searched(tmp_path / each / "supernets") for each in ("whole", "cut"))
    assert without_seconds(first) == without_seconds(second)
    assert len(first.epochs) == 8
    assert not list((tmp_path / "cut" / "checkpoints").iterdir())


def test_evolution_over_a_supernet_scores_paths(experiment: Path, call: Callable[..., Any], tmp_path: Path) -> None:
    experiment.write_text(
        EXPERIMENT.replace("method: Darts", "method: {Spos: {candidates: 1}}").replace("epochs: 8", "epochs: 1")
        + "strategy: {RegularizedEvolution: {population: 4, sample: 2}}\nrules: {budget: {evaluations: 8}}\n",
        encoding="utf-8",
    )
    answer = call("search", experiment, "--run-dir", tmp_path / "run")
    assert answer.returncode == 0, answer.stderr
    lines = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()[1:]]
    scores = [line["scores"] for line in lines if line["event"] == "finish"]
    assert len(scores) == 8
    assert len({score["validation_top1_percent"] for score in scores}) > 3, "paths differ in what they score"
    assert all({"params", "macs"} <= score.keys() for score in scores)


@pytest.mark.slow
def test_the_best_of_several_seeds_is_found_by_the_evaluator(
    experiment: Path, call: Callable[..., Any], tmp_path: Path
) -> None:
    training = {"data": "Digits", "validation": 200, "images": 200, "recipe": {"epochs": 1, "batch": 50, "cutout": 0}}
    more = f"  seeds: 2\nevaluator: {json.dumps({'Training': training})}\n"
    experiment.write_text(EXPERIMENT.replace("epochs: 8", "epochs: 1") + more, encoding="utf-8")
    answer = call("search", experiment, "--run-dir", tmp_path / "run")
    assert answer.returncode == 0, answer.stderr
    found = [searched(tmp_path / "run" / "supernets", seed) for seed in (0, 1)]
    assert found[0].epochs[0].strengths != found[1].epochs[0].strengths, "each seed is a search of its own"
    journal = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()[1:]]
    proposed = [from_plain(line["architecture"]) for line in journal if line["event"] == "start"]
    assert proposed == [each.architecture for each in found]
    shown = call("show", tmp_path / "run")
    assert "Supernet searches" in shown.stdout


def test_weights_go_on_with_the_options_that_are_left() -> None:
    wide = nasbench201.nasbench201()
    strengths = {name: [0.0, 0.1, 0.2, 0.9, 0.8] for name in wide_names(wide)}
    narrow = prune(wide, strengths, 2)
    old, new = (Supernet(nasbench201.network(each, 4, 1), Darts(), (1, 8, 8)) for each in (wide, narrow))
    transplant(old.model, new.model)
    before, after = (first_mixture(each) for each in (old, new))
    assert [key in before.keys for key in after.keys] == [True, True]
    for key, option in zip(after.keys, after.options, strict=True):
        same = before.options[before.keys.index(key)]
        pairs = zip(option.parameters(), same.parameters(), strict=True)
        assert all(torch.equal(own, old_one) for own, old_one in pairs), "by what an option is, not by its place"


def wide_names(space: Any) -> list[str]:
    return list(Supernet(nasbench201.network(space, 4, 1), Darts(), (1, 8, 8)).choices)


def first_mixture(supernet: Supernet) -> Mixed:
    return next(module for module in supernet.modules() if isinstance(module, Mixed))


@pytest.mark.slow
def test_perturbation_of_a_method_that_draws_ends_alike_after_the_last_checkpoint(tmp_path: Path) -> None:
    declared = replace(SMALL, method=Snas(), derivation="perturbation", epochs=1)
    _, _, whole = run_to_end(declared, tmp_path / "whole")
    checkpoint = tmp_path / "cut.pt"
    run_to_end(declared, tmp_path / "cut", checkpoint=checkpoint, stop_after=1)
    _, _, resumed = run_to_end(declared, tmp_path / "cut", checkpoint=checkpoint)
    assert whole is not None
    assert resumed is not None
    assert without_seconds(resumed) == without_seconds(whole)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("method: Darts", "method: Dart"), "supernet.method names no Method: did you mean 'Darts'?"),
        (("epochs: 8", "epochz: 8"), "supernet.epochz: no such key; did you mean 'epochs'?"),
        (("images: 400, lr", "images: 4000, lr"), "validation is 4000"),
        (("method: Darts", "method: PDarts"), "give more epochs, or a smaller weights_only"),
        (("method: Darts", "method: Gdas\n  derivation: perturbation"), "give 'alphas', or take another method"),
        (("method: Darts", "method: Gdas\n  execution: grouped"), "leave it out, or give 'plain'"),
        (("method: Darts", "method: {PDarts: {weights_only: 0}}"), "PDarts.layers is no option of the space's network"),
    ],
)
def test_what_cannot_be_searched_is_said_before_anything_is_done(
    change: tuple[str, str], said: str, experiment: Path, call: Callable[..., Any], tmp_path: Path
) -> None:
    experiment.write_text(EXPERIMENT.replace(*change), encoding="utf-8")
    answer = call("search", experiment, "--run-dir", tmp_path / "run")
    assert answer.returncode == 2
    assert said in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_seed_that_failed_at_first_joins_on_resume(tmp_path: Path) -> None:
    history = History("score")
    given = FixedProposals((("c", "seed 0"), ("b", "seed 1")))
    history.start(Proposal("b", "seed 1"))
    assert given.propose(None, history, Random()) == Proposal("c", "seed 0")
    history.start(Proposal("c", "seed 0"))
    assert given.propose(None, history, Random()) is None


def test_a_folder_with_a_finished_supernet_is_never_discarded(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text('{"cellstack": 1}\n')
    supernets = tmp_path / "supernets.jsonl"
    supernets.write_text('{"cellstack": 1}\n{"event": "start"}\n')
    discard_if_empty(tmp_path)
    assert supernets.exists()
