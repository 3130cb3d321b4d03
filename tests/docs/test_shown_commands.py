"""Every command that an experiment's header or a page shows, and every experiment as it stands, ends; the sizes alone are cut."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from cifar import unpacked
from documents import Process, blocks, inline_commands, lines_of, pages
from documents_inside import run_nas

from nas.evaluation.training import Training
from nas.runs.experiment import Experiment, load
from nas.runs.full_training import load_recipe

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = sorted(set((ROOT / "experiments").rglob("*.yaml")) - set((ROOT / "experiments" / "recipes").iterdir()))
RECIPES = sorted((ROOT / "experiments" / "recipes").iterdir())

ELSEWHERE = ("--address", "ray exec", "sbatch", "kubectl")
"""What needs machines that the other tests start themselves, if at all."""

COMPILED = "compile_layers=true"
"""Compiling takes over six minutes on two processors, and fails inside torch on the small maps of small images."""

SIDE = 160
"""The pixels of the photographs that stand for ImageNet's."""


def header_commands(path: Path) -> list[str]:
    """Return the commands of a header: a line that names `nas` and those that it is continued in."""
    lines = takewhile(lambda line: line.startswith("#"), path.read_text("utf-8").splitlines())
    text = "\n".join(line.removeprefix("#").strip() for line in lines).replace("\\\n", " ")
    shown = [match[1] for match in re.finditer(r"^(?:[\w ]+:\s+)?(nas [a-z]+ \S.*)$", text, re.MULTILINE)]
    changes = [match[1] for match in re.finditer(r"^\w+:\s+((?:[\w.]+=\S+ ?)+)$", text, re.MULTILINE)]
    return [*shown, *(f"{shown[0]} {change}" for change in changes)]


def page_commands() -> list[str]:
    """Return the commands of the pages that are not run where they stand."""
    found: list[str] = []
    for page in pages():
        skipped = [block for block in blocks(page) if block.note == "not run"]
        lines = [re.split(r"\s+#", line)[0] for block in skipped for line in lines_of(block)]
        found += [line for line in [*lines, *inline_commands(page)] if line.startswith("nas ")]
    return [line for line in found if len(line.split()) > 2 and not words_for_others(line)]


def words_for_others(line: str) -> bool:
    """Whether a line holds words that stand for others, as EXPERIMENT, or asks for other machines."""
    stands = [word for word in line.split() if re.fullmatch("[A-Z|=]+", word) and word != "RUN"]
    return bool(stands) or any(each in line for each in ELSEWHERE)


def cut_training(place: str, training: Training) -> Iterator[str]:
    yield from (f"{place}.images=64", f"{place}.recipe.epochs=1", f"{place}.recipe.batch=16")
    if training.validation:
        yield f"{place}.validation=32"


def cut_search(experiment: Experiment) -> Iterator[str]:
    """Yield assignments that leave an experiment what it is, and cut its sizes: epochs, images, channels, evaluations."""
    if isinstance(experiment.evaluator, Training):
        yield from cut_training("evaluator", experiment.evaluator)
    trains = experiment.supernet is not None or isinstance(experiment.evaluator, Training)
    sizes = {"darts": ("channels=4", "layers=3"), "nasbench201": ("channels=4", "cells_per_stage=1")}
    sizes["nasnet"] = sizes["nasbench201"]
    if trains:
        yield from (f"network.{size}" for size in sizes.get(experiment.space_name, ()))
    if experiment.rules.budget is not None and trains:
        yield "rules.budget.evaluations=3"
    if experiment.supernet is not None:
        yield from cut_supernet(experiment)
    if experiment.final is not None and isinstance(experiment.final.evaluator or experiment.evaluator, Training):
        final: Any = experiment.final.evaluator or experiment.evaluator
        if experiment.final.evaluator is not None:
            yield from cut_training("final.evaluator", final)
        yield from (f"final.network.{size}" for size in sizes.get(experiment.space_name, ()))
        if experiment.final.beside_random:
            yield "final.beside_random=1"


def cut_supernet(experiment: Experiment) -> Iterator[str]:
    supernet: Any = experiment.supernet
    method = type(supernet.method).__name__
    phases = getattr(supernet.method, "options", getattr(supernet.method, "channels", (1,)))
    rest = getattr(supernet.method, "weights_only", 0) and 1
    yield f"supernet.epochs={max((1 + rest) * len(phases), supernet.alphas.from_epoch + 1)}"
    yield from ("supernet.images=32", "supernet.alphas.images=32", "supernet.weights.batch=16")
    if rest:
        yield "supernet.method.PDarts.weights_only=1"
        yield "supernet.method.PDarts.layers=[3,4,5]"
    if experiment.space_name == "darts":
        yield f"supernet.network.channels={ {'DrNas': 12, 'PcDarts': 8}.get(method, 4) }"
        yield from ("supernet.network.layers=3",) if method != "PDarts" else ()
    if supernet.seeds > 1:
        yield "supernet.seeds=2"


A_RUN = re.compile(r"(RUN|runs/\S+|/(shared|data)/runs/\S+)$")


def copied(word: str, finished: dict[str, Path], folder: Path) -> str:
    """Return a copy of the finished run that a word of a command stands for."""
    source = finished["quickstart" if "quickstart" in word else "darts"]
    number = len(list(folder.glob("given-*")))
    return str(shutil.copytree(source, folder / f"given-{number}"))


CUT_RECIPE = ("recipe.epochs=1", "recipe.warmup_epochs=0", "recipe.batch=16", "images=64", "network.channels=4")


def small(words: Sequence[str], finished: dict[str, Path], photographs: Path, folder: Path) -> list[str]:
    """Return a command as it is shown, with its sizes cut, on this machine, and in a run folder below `folder`."""
    name = words[1]
    words = [word.replace("/data/imagenet", str(photographs)) for word in words]
    if name != "search":
        words = [copied(word, finished, folder) if A_RUN.match(word) else word for word in words]
    for option, most in (("--workers", "2"), ("--gpus-per-worker", "0"), ("--seeds", "2")):
        if option in words:
            words[words.index(option) + 1] = min(words[words.index(option) + 1], most)
    if "--run-dir" in words:
        words[words.index("--run-dir") + 1] = str(folder / "run")
    if name == "search":
        typed = [word for word in words[3:] if re.match(r"[\w.]+=", word)]
        words += cut_search(load(words[2], typed))
        if "--executor" not in words and "--workers" not in words:
            words += ["--executor", "inline"]
    if name == "train":
        recipe = load_recipe(words[words.index("--recipe") + 1])
        is_cells = "cells_per_stage" in recipe.network
        depth = "network.cells_per_stage=1" if is_cells else "network.layers=3"
        words = [re.sub("^(fit.macs)=.*", r"\1=3_000_000", word) for word in words]
        size = [f"data.size={SIDE}"] if "imagenet" in words[words.index("--recipe") + 1] else []
        words += [*CUT_RECIPE, depth, *size]
    if name == "resume":
        words = [re.sub("^(rules.budget.evaluations)=.*", r"\1=5", word) for word in words]
    if name == "transfer":
        words += ["recipe.epochs=1", "recipe.batch=16"]
    return words


@pytest.fixture(scope="session")
def cifar(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with CIFAR-10 and the table of NAS-Bench-201, as NAS_DATA is."""
    folder = unpacked(shared_data, tmp_path_factory.mktemp("data"))
    shutil.copy(shared_data / "nasbench201.npz", folder)
    return folder


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder laid out as ImageNet: train and val with a folder of JPEG files for each of three classes."""
    import numpy as np
    from PIL import Image

    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("imagenet")
    for part, number in (("train", 24), ("val", 8)):
        for label in ("n01440764", "n01443537", "n01484850"):
            (folder / part / label).mkdir(parents=True)
            for i in range(number):
                pixels = rng.integers(0, 256, (SIDE, SIDE + i, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / label / f"{i}.jpeg")
    return folder


@pytest.fixture(scope="session")
def finished(cifar: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return folders of finished searches that hold the weights of their best: of the quickstart, and of DARTS cells."""
    folder = tmp_path_factory.mktemp("finished")
    for name, file in (("quickstart", "experiments/quickstart.yaml"), ("darts", "experiments/digits/darts.yaml")):
        words = ["nas", "search", file, "--run-dir", str(folder / name), "--workers", "1"]
        end(folder, [*words, *cut_search(load(ROOT / file))], cifar)
    return {name: folder / name for name in ("quickstart", "darts")}


def end(folder: Path, words: Sequence[str], data: Path) -> str:
    """Run a command of `nas` in a folder that has experiments and docs; return what it printed. It must end well."""
    for name in ("experiments", "docs"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    with closing(Process(folder, {"NAS_DATA": str(data)})) as process:
        return process.call(run_nas, list(words), shlex.join(words))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_experiment_ends_with_its_own_settings(path: Path, cifar: Path, tmp_path: Path) -> None:
    name = str(path.relative_to(ROOT))
    words = ["nas", "search", name, "--run-dir", str(tmp_path / "run"), "--executor", "inline"]
    printed = end(tmp_path, [*words, *cut_search(load(path))], cifar)
    assert (tmp_path / "run" / "best.json").is_file()
    assert "nan" not in printed
    experiment = load(path)
    if experiment.final is not None:
        assert "Tested once" in printed


def shown() -> list[str]:
    """Return every command that is shown, once, wherever its run folder is; those that serve until they are stopped are not."""
    lines = [line for path in [*EXPERIMENTS, *RECIPES] for line in header_commands(path)]
    lines += [re.sub(r" --run-dir \S+", "", line) for line in page_commands()]
    serving = ("nas list", "nas dashboard")
    return [line for line in dict.fromkeys(lines) if not line.startswith(serving) and COMPILED not in line]


SHOWN = shown()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("line", SHOWN)
def test_a_command_that_is_shown_ends(
    line: str, cifar: Path, photographs: Path, finished: dict[str, Path], tmp_path: Path
) -> None:
    words = small(shlex.split(line), finished, photographs, tmp_path)
    printed = end(tmp_path, words, cifar)
    assert printed
    assert "nan" not in printed


def test_the_header_of_every_experiment_that_was_not_run_says_how_to_try_it_smaller() -> None:
    silent = [path.stem for path in EXPERIMENTS if "NOT RUN" in path.read_text("utf-8") and not header_commands(path)]
    assert silent == []


def test_every_recipe_shows_a_command() -> None:
    assert [path.stem for path in RECIPES if not header_commands(path)] == []


def test_commands_are_found_where_they_stand() -> None:
    assert "nas train darts:DARTS_V2 --recipe darts_cifar" in SHOWN
    assert sum("modern_imagenet" in line for line in SHOWN) >= 2, "also what stands below a command as its changes"
    assert not [line for line in SHOWN if "\\" in line or "#" in line or os.linesep in line]
