"""The results of NAS-Bench-201 and NATS-Bench: one form of an architecture's trainings, in both their files.

Source: `ArchResults.state_dict` and `ResultsCount.state_dict` in nats_bench/api_utils.py of D-X-Y/NATS-Bench; the times are
those that exps/NATS-Bench/tss-collect.py and sss-collect.py of D-X-Y/AutoDL-Projects write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from nas.evaluation.official_columns import Columns
from nas.evaluation.table_file import TableFile
from nas.records import RecordError

DATA = {"cifar10-valid": "c10valid", "cifar10": "c10", "cifar100": "c100", "ImageNet16-120": "in16"}
"""The data sets in names of columns: c10valid trains on 25,000 images of CIFAR-10, c10 on all 50,000."""

SCORES = {
    ("c10valid", "x-valid"): "c10_valid",
    ("c10valid", "ori-test"): "c10valid_test",
    ("c10", "ori-test"): "c10_test",
    **{(data, "x-valid"): f"{data}_valid" for data in ("c100", "in16")},
    **{(data, "x-test"): f"{data}_test" for data in ("c100", "in16")},
    **{(data, "ori-test"): f"{data}_valtest" for data in ("c100", "in16")},
}
"""The names of accuracies by the data set and the images that are tested; valtest are those of valid and test together."""

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""In the benchmark's order, so that a decision is the digit of a cell."""

CHANNELS = range(8, 65, 8)
"""The widths of a layer in the size search space."""


def whole_table(path: Path, content: Mapping[str, Any]) -> TableFile:
    """Return the table of a file that holds the whole benchmark, in the order of its indices; frees what is done with."""
    results, columns = content["arch2infos"], Columns()
    indices = sorted(results)
    for row, index in enumerate(indices):
        put_results(columns, row, results.pop(index).values())
    return table_of(path, [content["meta_archs"][index] for index in indices], columns)


def put_results(columns: Columns, row: int, results: Iterable[Mapping[str, Any]]) -> None:
    """Put the trainings of an architecture into a row; a result holds those of one number of epochs."""
    costs: dict[str, list[float]] = {}
    for result in results:
        seeds: dict[int, int] = {}
        for (data, seed), run in result["all_results"].items():
            for name, accuracy in _accuracies(run, DATA.get(data, data)):
                columns.put(row, f"{name}_s{seed}", accuracy)
            for name, cost in _costs(run, DATA.get(data, data)):
                costs.setdefault(name, []).append(cost)
            seeds[run["epochs"]] = seeds.get(run["epochs"], 0) + (data == "cifar10-valid")
        for epochs, count in seeds.items():
            columns.put(row, f"n_seeds_{epochs}", count)
    for name, values in costs.items():
        columns.put(row, name, fmean(values))


def _accuracies(run: Mapping[str, Any], data: str) -> Iterator[tuple[str, float]]:
    """Yield the accuracies in percent after the last epoch."""
    epochs, accuracies = run["epochs"], run["eval_acc1es"]
    yield f"{data}_train{epochs}", run["train_acc1es"][epochs - 1]
    for images in run["eval_names"]:
        if (key := f"{images}@{epochs - 1}") in accuracies:
            yield f"{SCORES.get((data, images), f'{data}_{images}')}{epochs}", accuracies[key]


def _costs(run: Mapping[str, Any], data: str) -> Iterator[tuple[str, float]]:
    """Yield what a training costs; the files have parameters and multiply-adds in millions, and latencies in seconds."""
    yield f"params_{data}", round(1e6 * run["params"])
    yield f"flops_{data}", round(1e6 * run["flop"])
    if run.get("latency"):
        yield f"latency_ms_{data}", 1000 * fmean(run["latency"])
    if run.get("train_times"):
        yield f"train_s_per_epoch_{data}", fmean(run["train_times"].values())
    if valid := [seconds for key, seconds in (run.get("eval_times") or {}).items() if key.startswith("x-valid@")]:
        yield f"valid_s_{data}", fmean(valid)


def table_of(path: Path, texts: list[str], columns: Columns) -> TableFile:
    """Return the table of architectures in the benchmark's notation. Raises RecordError for one in neither of its spaces."""
    ops = [_decisions(path, text) for text in texts]
    return TableFile(path, {"architecture": texts, **columns.finished(len(texts))}, ops)


def _decisions(path: Path, text: str) -> list[int]:
    """Return the decisions of a cell, `|op~0|+|op~0|op~1|+...`, or of five widths, `8:16:64:64:40`."""
    operations = re.findall(r"(\w+)~\d", text)
    if len(operations) == 6 and set(operations) <= set(OPERATIONS):
        return [OPERATIONS.index(each) for each in operations]
    widths = text.split(":")
    if len(widths) == 5 and {*widths} <= {*map(str, CHANNELS)}:
        return [CHANNELS.index(int(each)) for each in widths]
    raise RecordError(
        f"{path} has an architecture {text[:100]!r}, which is in no space of NATS-Bench: give another format"
    )
