"""Zero-cost proxies on random cells of NAS-Bench-201: rank correlation with the test accuracy after 200 epochs.

    NAS_DATA=FOLDER python tools/proxies_on_table.py runs/proxies 200

The folder NAS_DATA has nasbench201.npz and CIFAR-10. Cells are drawn with seed 0 from those with a path from input to output,
and built with 16 channels and 5 cells a stage; each proxy sees the same 64 training images. Intervals are 95 % bootstraps over
cells; the last column is the correlation within the best fifth, where a search has to choose. Each cell leaves a line in the
folder, and is not scored again; GraSP, which takes half of the time, is measured with `--grasp`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from nas.data import Cifar10
from nas.evaluation.evaluator import Job
from nas.evaluation.proxies import Proxies
from nas.evaluation.proxies.nwot import Nwot
from nas.evaluation.proxies.proxy import Proxy
from nas.testing.evaluators import performed, task_for
from search_spaces import nasbench201

NAMES = (
    "params",
    "macs",
    "synflow",
    "nwot",
    "jacob_cov",
    "epe_nas",
    "grad_norm",
    "snip",
    "fisher",
    "zen",
    "l2_norm",
    "plain",
)
CONNECTED_PERCENT = 11.0
"""A cell without a path from input to output is right on a tenth of the ten classes' images."""


def drawn(cells: int) -> dict[str, float]:
    """Return random cells with their test accuracy in percent."""
    with np.load(Path(os.environ["NAS_DATA"], "nasbench201.npz")) as table:
        ops, accuracy = table["ops"], table["values"][:, list(table["columns"]).index("c10_test200")]
    names, found = list(nasbench201.OPERATIONS), dict[str, float]()
    for row in Random(0).sample(range(len(ops)), len(ops)):
        if accuracy[row] > CONNECTED_PERCENT and len(found) < cells:
            edges = iter(names[each] for each in ops[row])
            nodes = [[(next(edges), source) for source in range(node)] for node in (1, 2, 3)]
            found[nasbench201.to_string(nasbench201.from_edges(nodes))] = float(accuracy[row])
    return found


def scored(number: int, cell: str, has_grasp: bool) -> dict[str, float]:
    """Return all scores of a cell."""
    names: tuple[str | Proxy, ...] = (*NAMES, Nwot("all"), *(["grasp"] if has_grasp else []))
    evaluator = Proxies(Cifar10(), names)
    job = Job(number, nasbench201.from_string(cell), number)
    return dict(performed(evaluator.evaluate(task_for(evaluator, "nasbench201", {}), job))[1])


def spearman(scores: Any, accuracy: Any) -> float:
    """Return the rank correlation."""
    return float(spearmanr(scores, accuracy).statistic)


def interval(scores: Any, accuracy: Any) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the rank correlation over cells."""
    rng, count = np.random.default_rng(0), len(scores)
    drawn = [rng.integers(count, size=count) for _ in range(2000)]
    low, high = np.percentile([spearman(scores[rows], accuracy[rows]) for rows in drawn], (2.5, 97.5))
    return float(low), float(high)


def table(results: Sequence[Mapping[str, float]], accuracy: Sequence[float]) -> str:
    """Return the correlations in Markdown, the highest first."""
    truth = np.array(accuracy)
    best = truth >= np.quantile(truth, 0.8)
    rows = []
    for name in results[0]:
        scores = np.array([each[name] for each in results])
        low, high = interval(scores, truth)
        rows.append((spearman(scores, truth), name, low, high, spearman(scores[best], truth[best])))
    lines = [f"| score ({len(truth)} cells) | Spearman | 95 % interval | in the best fifth |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {all_:.2f} | {low:.2f} to {high:.2f} | {top:.2f} |"
        for all_, name, low, high, top in sorted(rows)[::-1]
    ]
    return "\n".join(lines)


def main(out: Path, count: int, has_grasp: bool) -> None:
    """Score the cells that have no line yet, and print the table."""
    out.mkdir(parents=True, exist_ok=True)
    file, cells = out / ("grasp.jsonl" if has_grasp else "proxies.jsonl"), drawn(count)
    lines = file.read_text().splitlines() if file.exists() else []
    known = {each["cell"]: each["scores"] for each in map(json.loads, lines)}
    missing = [(number, cell) for number, cell in enumerate(cells) if cell not in known]
    with ProcessPoolExecutor() as pool, file.open("a") as kept:
        numbers, names = zip(*missing, strict=True) if missing else ((), ())
        for cell, scores in zip(names, pool.map(scored, numbers, names, [has_grasp] * len(missing)), strict=True):
            known[cell] = scores
            print(json.dumps({"cell": cell, "scores": scores}), file=kept, flush=True)
    print(table([known[cell] for cell in cells], list(cells.values())))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), "--grasp" in sys.argv)
