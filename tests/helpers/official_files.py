"""Small files in exactly the form of the official ones: the keys, nesting and types that the released code writes.

Sources: `ResultsCount` and `ArchResults` in nats_bench/api_utils.py of D-X-Y/NATS-Bench, as exps/NATS-Bench/tss-collect.py,
sss-collect.py and exps/NAS-Bench-201/statistics-v2.py of D-X-Y/AutoDL-Projects fill and save them; nasbench/api.py and
lib/model_metrics.proto of google-research/nasbench; naslib/utils/nb101_api.py of automl/NASLib; the JSON of
chenyaofo/CTNAS; api/api.py of yawen-d/TransNASBench.
"""

from __future__ import annotations

import bz2
import json
import pickle
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from struct import pack
from typing import Any

import numpy as np
import torch

from nas.evaluation.tfrecords import masked_crc32c

CELLS = (
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|none~2|",
)
"""The first of them is the 0-th of the benchmark."""

WIDTHS = ("8:8:8:8:8", "8:16:64:40:24")

SETS = {
    "cifar10-valid": ("x-valid", "ori-test"),
    "cifar10": ("ori-test",),
    "cifar100": ("x-valid", "x-test", "ori-test"),
    "ImageNet16-120": ("x-valid", "x-test", "ori-test"),
}
"""The images that each training is evaluated on."""

Accuracy = Callable[[str, str, int, int], float]
"""The accuracy by data set, images, epochs and seed."""


def sloping(data: str, images: str, epochs: int, seed: int) -> float:
    """Return an accuracy that differs for all that it depends on."""
    return 50 + 3 * list(SETS).index(data) + len(images) / 4 + epochs / 20 + seed / 1000


def run_state(data: str, text: str, seed: int, epochs: int, accuracy: Accuracy, second: float) -> dict[str, Any]:
    """Return `ResultsCount.state_dict()` of a training, as of the code that saves times."""
    names = [f"{images}@{epoch}" for images in SETS[data] for epoch in range(epochs)]
    at_end = {images: accuracy(data, images, epochs, seed) for images in SETS[data]}
    accuracies = {name: at_end[name.split("@")[0]] * ((1 + int(name.split("@")[1])) / epochs) for name in names}
    by_epoch = OrderedDict((epoch, 60 + epoch / 10) for epoch in range(epochs))
    return {
        "name": data,
        "net_state_dict": None,
        "train_acc1es": by_epoch,
        "train_acc5es": by_epoch,
        "train_losses": OrderedDict((epoch, 1.5) for epoch in range(epochs)),
        "train_times": OrderedDict((epoch, second) for epoch in range(epochs)),
        "arch_config": {"channel": 16, "num_cells": 5, "arch_str": text, "class_num": 10},
        "params": np.float64(0.073306),
        "flop": 7.78305,
        "seed": str(seed),
        "epochs": epochs,
        "latency": [0.0125],
        "eval_names": list(SETS[data]),
        "eval_acc1es": accuracies,
        "eval_times": dict.fromkeys(names, second / 8),
        "eval_losses": dict.fromkeys(names, 1.5),
    }


def old_run_state(data: str, text: str, seed: int, epochs: int, accuracy: Accuracy, second: float) -> dict[str, Any]:
    """Return the state of a training of the code before, without times, where some images are evaluated once, at the end."""
    state = run_state(data, text, seed, epochs, accuracy, second)
    once = {"ori-test"} if data == "cifar10-valid" else {"x-valid", "x-test"}
    for part in ("eval_acc1es", "eval_losses"):
        state[part] = {
            name: value
            for name, value in state[part].items()
            if name.split("@")[0] not in once or name.endswith(f"@{epochs - 1}")
        }
    return {**state, "train_acc5es": None, "train_times": None, "eval_times": {}}


def result_state(
    index: int,
    text: str,
    epochs: int,
    seeds: Mapping[str, Iterable[int]],
    make: Any = run_state,
    accuracy: Accuracy = sloping,
    second: float = 5.0,
) -> dict[str, Any]:
    """Return `ArchResults.state_dict()`: the trainings of an architecture with one number of epochs."""
    seeds = {data: list(each) for data, each in seeds.items()}
    runs = {
        (data, seed): make(data, text, seed, epochs, accuracy, second) for data, each in seeds.items() for seed in each
    }
    return {"arch_index": index, "arch_str": text, "all_results": runs, "dataset_seed": seeds, "clear_net_done": True}


def topology_results(index: int, text: str, accuracy: Accuracy = sloping, second: float = 5.0) -> OrderedDict[str, Any]:
    """Return what NATS-Bench has of a cell: trainings of 12 and 200 epochs."""
    short = {**dict.fromkeys(SETS, (111,)), "cifar10-valid": (111, 777)}
    long = dict.fromkeys(SETS, (777, 888, 999) if index == 0 else (777, 888))
    return OrderedDict(
        {
            "12": result_state(index, text, 12, short, run_state, accuracy, second),
            "200": result_state(index, text, 200, long, run_state, accuracy, second),
        }
    )


def size_results(index: int, text: str) -> OrderedDict[str, Any]:
    """Return what NATS-Bench has of a network of other widths: trainings of 1, 12 and 90 epochs."""
    seeds = {"01": (777,), "12": (777,), "90": (777, 888, 999)}
    return OrderedDict(
        (hp, result_state(index, text, int(hp), dict.fromkeys(SETS, each))) for hp, each in seeds.items()
    )


def content(texts: Iterable[str], results: Callable[[int, str], Any]) -> dict[str, Any]:
    """Return the whole of a benchmark as it is saved."""
    texts = list(texts)
    infos = {index: results(index, text) for index, text in enumerate(texts)}
    return {"meta_archs": texts, "total_archs": len(texts), "arch2infos": infos, "evaluated_indexes": set(infos)}


def pickle_save(made: Any, path: Path) -> Path:
    """Save as `nats_bench.api_utils.pickle_save`."""
    with bz2.BZ2File(path, "wb") as file:
        pickle.dump(made, file, protocol=4)
    return path


def whole(folder: Path, texts: Iterable[str] = CELLS, results: Callable[[int, str], Any] = topology_results) -> Path:
    return pickle_save(content(texts, results), folder / "NATS-tss-v1_0-3ffb9.pickle.pbz2")


def simple(folder: Path, texts: Iterable[str] = CELLS, results: Callable[[int, str], Any] = topology_results) -> Path:
    """Write the folder of one file an architecture."""
    made, path = content(texts, results), folder / "NATS-tss-v1_0-3ffb9-simple"
    path.mkdir()
    infos = made["arch2infos"]
    pickle_save({**made, "arch2infos": None, "evaluated_indexes": set()}, path / "meta.pickle.pbz2")
    for index, each in infos.items():
        pickle_save(each, path / f"{index:06d}.pickle.pbz2")
    return path


def nasbench201(folder: Path, is_zip: bool = False, is_first: bool = False) -> Path:
    """Write the file of NAS-Bench-201; torch of early 2020 wrote no zip. `is_first` is the version 1.0."""

    def results(index: int, text: str) -> dict[str, Any]:
        if is_first:
            less = result_state(index, text, 12, {"cifar10-valid": (777,)})
            return {"full": result_state(index, text, 200, dict.fromkeys(SETS, (777,)), old_run_state), "less": less}
        made = topology_results(index, text)
        return {"full": made["200"], "less": made["12"]}

    made, path = content(CELLS, results), folder / "NAS-Bench-201-v1_1-096897.pth"
    torch.save(
        {**made, "evaluated_indexes": sorted(made["evaluated_indexes"])}, path, _use_new_zipfile_serialization=is_zip
    )
    return path


# ---------------------------------------------------------------------------------------------------- NAS-Bench-101

MODULES: dict[str, tuple[list[list[int]], list[str]]] = {
    "0a" * 16: ([[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["input", "conv3x3-bn-relu", "output"]),
    "1b" * 16: (
        [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]],
        ["input", "conv1x1-bn-relu", "maxpool3x3", "output"],
    ),
}
"""Two cells by hash; the hashes are made up."""

TEXTS = ("111:conv3x3", "110011:conv1x1,maxpool3x3")


def training(seed: int) -> dict[str, float]:
    """Return the numbers of a training as `computed_statistics` have them."""
    return {
        f"{moment}_{name}": value * (1 + seed / 100) * (0.5 if moment == "halfway" else 1)
        for moment in ("halfway", "final")
        for name, value in {
            "training_time": 1700.0,
            "train_accuracy": 0.96,
            "validation_accuracy": 0.92,
            "test_accuracy": 0.91,
        }.items()
    }


def field(number: int, value: float | bytes) -> bytes:
    """Return a field of a message, whose number and length are below 16 and 128."""
    if isinstance(value, bytes):
        return bytes([number << 3 | 2, len(value)]) + value
    return bytes([number << 3 | 1]) + pack("<d", value)


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def metrics(params: int, numbers: Mapping[str, float], epochs: int) -> bytes:
    """Return the message ModelMetrics: at the start, half way and at the end."""
    parts = [field(1, field(1, 0.0))]
    for moment, epoch in (("halfway", epochs / 2), ("final", epochs)):
        names = ("training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
        values = (epoch, *(numbers[f"{moment}_{name}"] for name in names))
        parts.append(field(1, b"".join(field(number, value) for number, value in enumerate(values, 1))))
    return b"".join([*parts, bytes([2 << 3]) + varint(params), field(3, 1.0)])


def framed(data: bytes) -> bytes:
    """Return a record of a TFRecord file."""
    size = pack("<Q", len(data))
    return size + pack("<I", masked_crc32c(size)) + data + pack("<I", masked_crc32c(data))


def nasbench101(folder: Path, budgets: Iterable[int] = (4, 12, 36, 108)) -> Path:
    path = folder / "nasbench_full.tfrecord"
    with path.open("wb") as file:
        for epochs in budgets:
            for seed in range(3):
                for name, (matrix, operations) in MODULES.items():
                    bits = "".join(str(each) for row in matrix for each in row)
                    raw = b64encode(metrics(8_555_530, training(seed), epochs)).decode()
                    file.write(framed(json.dumps([name, epochs, bits, ",".join(operations), raw]).encode()))
    return path


def nasbench101_json(folder: Path) -> Path:
    rows = [
        {
            "matrix": matrix,
            "ops": operations,
            "n_params": 8_555_530,
            "training_time": 1717.0,
            "train_accuracy": 0.97,
            "validation_accuracy": 0.93,
            "test_accuracy": 0.92,
            "hash_": name,
        }
        for name, (matrix, operations) in MODULES.items()
    ]
    path = folder / "nas_bench.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def nasbench101_naslib(folder: Path) -> Path:
    made = {
        name: (
            {
                "module_adjacency": np.array(matrix, dtype=np.int8),
                "module_operations": operations,
                "trainable_parameters": 8_555_530,
            },
            {108: [training(seed) for seed in range(3)]},
        )
        for name, (matrix, operations) in MODULES.items()
    }
    path = folder / "nasbench_only108.pkl"
    path.write_bytes(pickle.dumps(made))
    return path


# ----------------------------------------------------------------------------------------------- TransNAS-Bench-101

TASKS = {
    "class_scene": ["train_top1", "train_loss", "valid_top1", "valid_loss", "test_top1", "test_loss", "time_elapsed"],
    "room_layout": ["train_loss", "train_neg_loss", "valid_loss", "valid_neg_loss", "time_elapsed"],
}
"""Two of the seven tasks, with their metrics."""


def transnasbench101(folder: Path) -> Path:
    infos = {
        "inference_time": 0.01,
        "encoder_params": 1.5e6,
        "model_params": 1.6e6,
        "model_FLOPs": 2e9,
        "encoder_FLOPs": 1e9,
    }

    def result(names: list[str], index: int) -> dict[str, Any]:
        values = {name: [10.0 + index, 40.0 + index, 30.0 + index] for name in names}
        values |= {name: [-3.0, -1.0, -2.0] for name in names if name.endswith("neg_loss")}
        return {"encoder_str": "", "total_epochs": 3, "model_info": dict(infos), "metrics": values}

    spaces = {"macro": ("64-1234-basic", "64-2311-basic"), "micro": ("64-41414-1_02_333",)}
    data = {
        space: {text: {task: result(names, i) for task, names in TASKS.items()} for i, text in enumerate(texts)}
        for space, texts in spaces.items()
    }
    path = folder / "transnas-bench_v10141024.pth"
    torch.save({"metrics_dict": TASKS, "info_names": [*infos], "task_list": [*TASKS], "data": data}, path)
    return path


EXAMPLES: dict[str, Callable[[Path], Path]] = {
    "nasbench201": nasbench201,
    "nats_bench": whole,
    "nasbench101": nasbench101,
    "nasbench101_json": nasbench101_json,
    "nasbench101_naslib": nasbench101_naslib,
    "transnasbench101": transnasbench101,
}
"""A function that writes an example of each format into a folder, and returns its path."""
