"""NetAdapt, pruning, AdaNet, expected costs and decaying mutations, each beside its baseline at equal cost, on scans of digits.

    python tools/methods_on_digits.py [seeds] [net_adapt|pruning|ada_net|expected_cost|evanet ...]

Claim: none in advance; the tables of docs/strategies.md and docs/supernets.md have what it prints for 3 seeds.
Hardware: one processor core, 10 minutes of it, and 22 for `evanet`. Validation on 300 of the training images; the 359 test images
are tested once.

Equal cost is as many epochs of training in all. Random members are under the same limit of multiply-adds; the pruned network
and the same narrow network from scratch have as many epochs as the wide one and its fine-tuning; AdaNet and random ensembles
have as many epochs of members, and searches of clips as many evaluations. With and without the expected cost a supernet is
searched for as long.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from nas.building import Node, Shape, build
from nas.data import Augmentation, Digits, MovingDigits, split
from nas.evaluation.ensemble_training import EnsembleTraining
from nas.evaluation.evaluator import Evaluator, Job, Task
from nas.evaluation.training import Training
from nas.history import Evaluated, History, Limit
from nas.layers.conv import ConvNormAct
from nas.morphisms.pruning import prune_channels
from nas.profiling import profile
from nas.runs.experiment import Experiment
from nas.runs.run import create_folder, plan, run
from nas.runs.spaces import of_space
from nas.runtime.rules import Budget, Rules
from nas.runtime.view import Silent
from nas.space import one_of, resolve
from nas.strategies.ada_net import AdaNet
from nas.strategies.evolution import RegularizedEvolution
from nas.strategies.net_adapt import NetAdapt
from nas.strategies.random_search import RandomSearch
from nas.strategies.strategy import Strategy
from nas.supernets.expected_cost import ExpectedCost
from nas.supernets.method import Method
from nas.supernets.proxyless import Proxyless
from nas.supernets.recipe import AlphasRecipe, SupernetSearch, WeightsRecipe
from nas.supernets.snas import Snas
from nas.testing.evaluators import performed
from nas.topology.chain import Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network
from nas.training import Recipe, evaluate, seeded, train
from search_spaces.evanet import evanet as networks_of_clips

INPUT = (1, 8, 8)
SHIFTS = Augmentation(crop_pad=1)
RECIPE = Recipe(batch=32, lr=0.1, drop_path=0.0, augmentation=SHIFTS, epochs=4)
KEEP = 0.4

Row = dict[str, float]


def widths() -> Network:
    """Return a space of four convolutions of 4 to 32 channels."""
    open_ = [one_of(f"width{i}", range(4, 33, 4)) for i in range(4)]
    stages = [Stage(ConvNormAct(3), channels=width, stride=1 + i % 2) for i, width in enumerate(open_)]
    return Network(ConvNormAct(3, 8), tuple(stages), Classifier(10))


def searched(experiment: Experiment) -> History:
    """Run a search in a folder that is removed; return its history."""
    with tempfile.TemporaryDirectory() as folder:
        planned = plan(experiment)
        create_folder(Path(folder, "run"), planned)
        return run(planned, Path(folder, "run"), lambda stage: Silent()).history


def search(space: Any, strategy: Strategy, evaluator: Evaluator, rules: Rules) -> History:
    """Search a tree, or a space by name."""
    return searched(Experiment(of_space(space), strategy, evaluator, rules))


def tested(evaluator: Evaluator, architecture: Any, seed: int, input: Shape) -> float:
    """Train an architecture anew, and return its accuracy on the test images in percent."""
    task = Task(architecture, lambda tree: tree, {}, input)
    _, scores = performed(evaluator.test(task, Job(0, architecture, seed)))
    return scores["test_top1_percent"]


def net_adapt(seed: int) -> dict[str, Row]:
    """Compare NetAdapt with random members under the same limit of multiply-adds, in 60 epochs each."""
    space, most = widths(), KEEP * profile(_widest(), INPUT).macs
    once = Training(Digits(), replace(RECIPE, epochs=1), 300, inherit="l2")
    strategy = NetAdapt(keep=KEEP, step=0.15, decay=0.9, first=8)
    adapted = search(space, strategy, once, Rules(Budget(epochs=60), seed=seed))
    random = search(
        space,
        RandomSearch(),
        Training(Digits(), replace(RECIPE, epochs=6), 300),
        Rules(Budget(epochs=60), seed=seed, limits={"macs": Limit(most=most)}),
    )
    found = {}
    for name, history in (("NetAdapt", adapted), ("random members", random)):
        within = [done for done in history.scored if done.scores["macs"] <= most]
        best = max(within, key=lambda done: done.scores["validation_top1_percent"])
        found[name] = _row(
            best, tested(Training(Digits(), replace(RECIPE, epochs=12), 0), best.architecture, seed, INPUT)
        )
    return found


def _widest() -> Network:
    return resolve(widths(), lambda choice: choice.arity - 1)


def _row(best: Evaluated, test: float) -> Row:
    return {
        "validation, %": best.scores["validation_top1_percent"],
        "test, trained anew, %": test,
        "MACs": best.scores["macs"],
    }


def pruning(seed: int) -> dict[str, Row]:
    """Compare a network that was pruned after 12 epochs and fine-tuned for 4 with the same one from scratch, for 16."""
    images, whole, found = split(Digits(), 0, 0), _widest(), {}

    def accuracy(network: Node, recipe: Recipe, weights: Mapping[str, Any] | None = None) -> tuple[float, Any]:
        with seeded(seed):
            model = build(network, INPUT)
        if weights is not None:
            model.load_state_dict(weights)
        for _ in train(model, images, recipe, seed=seed):
            pass
        return evaluate(model, images.open_test(), images, recipe).top1_percent, model.state_dict()

    wide, weights = accuracy(whole, replace(RECIPE, epochs=12))
    found["not pruned"] = {"test, %": wide, "MACs": profile(whole, INPUT).macs}
    for by in ("l1", "l2", "norm_scale"):
        with seeded(seed):
            pruned = prune_channels(widths(), whole, lambda tree: tree, weights, INPUT, KEEP, by=by)
        begun = pruned.inheritance.model.state_dict()
        tuned, _ = accuracy(pruned.architecture, replace(RECIPE, lr=0.03), begun)
        scratch, _ = accuracy(pruned.architecture, replace(RECIPE, epochs=16))
        found[f"pruned by {by}"] = {"test, %": tuned, "MACs": pruned.after}
        found[f"the network of {by} from scratch"] = {"test, %": scratch, "MACs": pruned.after}
    return found


def ada_net(seed: int) -> dict[str, Row]:
    """Compare AdaNet with random ensembles of the same space, in 32 epochs of members each."""
    evaluator = EnsembleTraining(Digits(), RECIPE, 0.001, 0.0001, 300)
    found = {}
    for name, strategy, number in (("AdaNet", AdaNet(), 8), ("random ensembles", RandomSearch(), 24)):
        rules = Rules(Budget(number), "-ensemble_objective", "evaluate", seed=seed)
        history = searched(Experiment("adanet", strategy, evaluator, rules))
        spent, known = 0, list[Evaluated]()
        for done in history.scored:
            spent += 1 if strategy == AdaNet() else len(done.architecture.members)
            known += [done] if spent <= 8 else []
        best = max(known, key=history.value)
        anew = tested(replace(evaluator, validation=0), best.architecture, seed, INPUT)
        found[name] = {"objective": best.scores["ensemble_objective"], **_row(best, anew)}
    return found


def expected_cost(seed: int) -> dict[str, Row]:
    """Search cells of NAS-Bench-201 by SNAS and ProxylessNAS, with and without expected multiply-adds in the loss of alphas."""
    methods: dict[str, Method] = {"SNAS": Snas(), "ProxylessNAS": Proxyless()}
    return {
        f"{name}, {'weight ' + format(weight, 'g') if weight else 'without'}": _derived(method, weight, seed)
        for name, method in methods.items()
        for weight in (0.0, 0.3, 3.0)
    }


def _derived(method: Method, weight: float, seed: int) -> Row:
    cost = ExpectedCost(weight) if weight else None
    weights = WeightsRecipe(batch=32, lr=0.1, augmentation=SHIFTS)
    alphas = AlphasRecipe(images=500, lr=0.01, from_epoch=1)
    supernet = SupernetSearch(method, Digits(), 20, weights=weights, alphas=alphas, images=500, cost=cost)
    evaluator = Training(Digits(), replace(RECIPE, epochs=6), 300)
    network = {"channels": 8, "cells_per_stage": 1}
    experiment = Experiment("nasbench201", None, evaluator, Rules(seed=seed), supernet, network)
    best = searched(experiment).best
    assert best is not None
    return {"validation, %": best.scores["validation_top1_percent"], "MACs": best.scores["macs"]}


def evanet(seed: int) -> dict[str, Row]:
    """Compare evolution whose mutations decay with one mutation, and with random members, in 40 evaluations of moving digits."""
    recipe = replace(RECIPE, augmentation=Augmentation(), epochs=2)
    space, evaluator, found = networks_of_clips(frames=4, classes=16), Training(MovingDigits(4, 12), recipe, 300), {}
    longer = replace(evaluator, recipe=replace(recipe, epochs=12), validation=0)
    evolution = RegularizedEvolution(population=10, sample=4)
    strategies: dict[str, Strategy] = {
        "mutations decay from 4": replace(evolution, mutations=4, mutation_rounds=6),
        "one mutation": evolution,
        "random members": RandomSearch(),
    }
    for name, strategy in strategies.items():
        best = search(space, strategy, evaluator, Rules(Budget(40), seed=seed)).best
        assert best is not None
        found[name] = _row(best, tested(longer, best.architecture, seed, (4, 12, 12)))
    return found


COMPARED: dict[str, Callable[[int], dict[str, Row]]] = {
    "net_adapt": net_adapt,
    "pruning": pruning,
    "ada_net": ada_net,
    "expected_cost": expected_cost,
    "evanet": evanet,
}


def table(rows: list[dict[str, Row]]) -> str:
    """Return the mean and standard deviation over seeds of each row, in Markdown."""
    columns = list(next(iter(rows[0].values())))
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name in rows[0]:
        values = {column: [each[name][column] for each in rows] for column in columns}
        cells = [
            f"{fmean(each):,.{_digits(column)}f} ± {stdev(each):,.{_digits(column)}f}"
            for column, each in values.items()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _digits(column: str) -> int:
    return {"MACs": 0, "objective": 3}.get(column, 2)


def main(seeds: int = 3, *names: str) -> None:
    """Measure and print."""
    for name in names or COMPARED:
        begun = time.process_time()
        rows = [COMPARED[name](seed) for seed in range(seeds)]
        print(f"\n{name}, {seeds} seeds, {time.process_time() - begun:.0f} CPU s\n\n{table(rows)}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, *sys.argv[2:])
