"""Strategies compared on NAS-Bench-201 by number of evaluations, paired by seed: a table in Markdown and a picture.

    NAS_DATA=FOLDER python tools/strategies_on_table.py runs/strategies

Searches go by the validation accuracy on CIFAR-10 after 12 epochs and pay for repeats; what counts is the test accuracy, after
200 epochs, of the best cell by validation. Each strategy leaves a JSON file in the folder, and is not searched with again.
All take an hour and a half of one core, half an hour of it NPENAS; seeds run in parallel. The picture needs matplotlib, which
is no dependency of the library.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nas.evaluation.evaluator import Evaluation, Job, at_once
from nas.predictors.gaussian_process import GaussianProcess
from nas.predictors.mlp_ensemble import MlpEnsemble
from nas.predictors.one_hot import OneHot
from nas.predictors.paths import Paths
from nas.runtime.inline import Inline
from nas.runtime.queue import Queue
from nas.runtime.rules import Budget, Rules
from nas.runtime.stage import RunStage
from nas.space import decisions
from nas.strategies.bananas import Bananas
from nas.strategies.evolution import RegularizedEvolution
from nas.strategies.kde import Kde
from nas.strategies.local_search import LocalSearch
from nas.strategies.npenas import Npenas
from nas.strategies.optuna import Optuna
from nas.strategies.random_search import RandomSearch
from nas.strategies.reinforce import Reinforce
from nas.strategies.screened import Screened
from nas.strategies.strategy import Strategy
from search_spaces import nasbench201

BUDGETS = (50, 100, 150, 200, 300)
TESTS = ("c10_test200", "c100_test200", "in16_test200")

UP_TO_150 = ("NPENAS",)
"""Strategies that are measured up to 150 evaluations alone: fits of the graph network take an hour for 300."""

COMPARED: Mapping[str, tuple[Strategy, int]] = {
    "random": (RandomSearch(), 500),
    "REINFORCE, lr 0.05": (Reinforce(), 500),
    "KDE of BOHB, without Hyperband": (Kde(), 50),
    "evolution 10/3": (RegularizedEvolution(10, 3), 500),
    "evolution 30/10": (RegularizedEvolution(30, 10), 500),
    "evolution 10/3, screened": (Screened(), 50),
    "local search, full neighbourhood": (LocalSearch("best"), 500),
    "local search, first better": (LocalSearch("first"), 500),
    "local search, 10 starts": (LocalSearch("first", starts=10), 500),
    "TPE (Optuna)": (Optuna(), 50),
    "BANANAS": (Bananas(), 50),
    "BANANAS, random candidates": (Bananas(draws="random"), 50),
    "BANANAS, a walk as candidates": (Bananas(draws="walk"), 50),
    "BANANAS, Gaussian process": (Bananas(GaussianProcess(), OneHot()), 50),
    "NPENAS with perceptrons": (Npenas(MlpEnsemble(), Paths()), 50),
    "NPENAS": (Npenas(), 50),
}
"""Strategies with the number of seeds, by the names of the table."""


@dataclass(frozen=True)
class Accuracies:
    """The validation accuracy and the three test accuracies of each cell, by its decisions."""

    validation: Mapping[tuple[int, ...], float]
    tests: Mapping[tuple[int, ...], tuple[float, ...]]


@cache
def accuracies(folder: Path) -> Accuracies:
    """Return the accuracies of nasbench201.npz in a folder."""
    with np.load(folder / "nasbench201.npz") as table:
        columns, rows = list(table["columns"]), [tuple(row) for row in table["ops"].tolist()]
        values = table["values"]
    validation = values[:, columns.index("c10_valid12")].tolist()
    tests = values[:, [columns.index(name) for name in TESTS]].tolist()
    return Accuracies(dict(zip(rows, validation, strict=True)), dict(zip(rows, map(tuple, tests), strict=True)))


def search(
    strategy: Strategy,
    folder: Path,
    budgets: Sequence[int],
    duplicates: Literal["evaluate", "skip"],
    seed: int,
) -> list[tuple[float, ...]]:
    """Search with one seed; return the test accuracies of the best cell by validation at each budget.

    Repeats are paid for ("evaluate"), or asked again ("skip").
    """
    known, space = accuracies(folder), nasbench201.nasbench201()

    def taken(architecture: Any) -> tuple[int, ...]:
        return tuple(decisions(space, architecture).values())

    def work(job: Job) -> Evaluation:
        return at_once({"top1": known.validation[taken(job.architecture)]})

    rules = Rules(Budget(budgets[-1]), "top1", duplicates, seed=seed)
    queue = Queue(RunStage("search", strategy, work, rules, str, space))
    Inline().run(queue, work, None)
    scored = queue.history.scored
    best = [max(scored[:budget], key=queue.history.value) for budget in budgets]
    return [known.tests[taken(done.architecture)] for done in best]


def searches(
    strategy: Strategy,
    folder: Path,
    seeds: int,
    budgets: Sequence[int] = BUDGETS,
    duplicates: Literal["evaluate", "skip"] = "evaluate",
) -> Any:
    """Search with seeds 0, 1, ... in parallel; return test accuracies in percent, (seeds, budgets, 3)."""
    with ProcessPoolExecutor() as pool:
        found = pool.map(partial(search, strategy, folder, budgets, duplicates), range(seeds), chunksize=4)
        return np.array(list(found))


def interval(values: Any, draws: int = 10_000) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean over seeds, (seeds,)."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (draws, len(values)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def table(measured: Mapping[str, Any]) -> str:
    """Return the rows in Markdown: CIFAR-10 test accuracy with the deviation over seeds, in the order at 150 evaluations."""
    lines = [
        "| strategy | seeds | " + " | ".join(map(str, BUDGETS)) + " | better than evolution 10/3 at 150 by |",
        "|" + "---|" * (len(BUDGETS) + 3),
    ]
    evolution = measured["evolution 10/3"]
    for name, values in sorted(measured.items(), key=lambda each: each[1][:, 2, 0].mean()):
        cells = [f"{column.mean():.2f} ± {column.std():.2f}" for column in values[:, :, 0].T]
        cells += [""] * (len(BUDGETS) - len(cells))
        seeds = min(len(values), len(evolution))
        low, high = interval(values[:seeds, 2, 0] - evolution[:seeds, 2, 0])
        gain = "" if values is evolution else f"{low:+.2f} to {high:+.2f}"
        lines.append(f"| {name} | {len(values)} | {' | '.join(cells)} | {gain} |")
    return "\n".join(lines)


def draw(measured: Mapping[str, Any], file: Path) -> None:
    """Draw the mean error on CIFAR-10's test images against evaluations, with bootstrap intervals."""
    from matplotlib import pyplot  # type: ignore[import-not-found, unused-ignore]

    figure, axes = pyplot.subplots(figsize=(11, 6), layout="constrained")
    order = sorted(measured.items(), key=lambda each: each[1][:, 2, 0].mean())
    for i, (name, values) in enumerate(order):
        errors = 100 - values[:, :, 0]
        low, high = zip(*(interval(column) for column in errors.T), strict=True)
        colour, marker = pyplot.get_cmap("tab20")(i), "osD^vPX"[i % 7]
        budgets = BUDGETS[: errors.shape[1]]
        axes.plot(budgets, errors.mean(0), color=colour, marker=marker, label=name)
        axes.fill_between(budgets, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.axhline(100 - 94.37, color="grey", linestyle=":", label="the best cell")
    axes.set(xlabel="evaluations", ylabel="test error on CIFAR-10, %", xticks=BUDGETS, yscale="log")
    axes.yaxis.set_major_formatter("{x:.2f}")
    axes.yaxis.set_minor_formatter("{x:.2f}")
    figure.legend(fontsize="small", frameon=False, loc="outside right upper")
    figure.savefig(file)


def main(out: Path) -> None:
    """Search with every strategy that has no file yet, print the table, and draw."""
    folder, measured = Path(os.environ["NAS_DATA"]), {}
    out.mkdir(parents=True, exist_ok=True)
    for name, (strategy, seeds) in COMPARED.items():
        file = out / f"{name.replace(' ', '_').replace('/', '-').replace(',', '')}.json"
        if not file.exists():
            budgets = BUDGETS[:3] if name in UP_TO_150 else BUDGETS
            file.write_text(json.dumps(searches(strategy, folder, seeds, budgets).tolist()))
        measured[name] = np.array(json.loads(file.read_text()))
        print(name, measured[name].mean(0).round(2).tolist(), file=sys.stderr, flush=True)
    print(table(measured))
    draw(measured, out / "strategies.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
