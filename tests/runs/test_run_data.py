"""The data of runs: images that are added, folders that are moved, and commands that are given from elsewhere."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.data import Digits, identify

Call = Callable[..., Any]

SEARCH = """\
space: nasbench201
network: {channels: 4, cells_per_stage: 1}
strategy: RandomSearch
evaluator:
  Training:
    data: {ImageFolder: {path: images, size: 8}}
    recipe: {epochs: 1, batch: 16, drop_path: 0, augmentation: {cutout: 0}, auxiliary: 0}
rules: {budget: {evaluations: 2}}
final: {}
"""


def write_images(root: Path, number: int = 12, first: int = 0, classes: tuple[str, ...] = ("cat", "dog")) -> None:
    """Write images of noise, of one class brighter than of the other."""
    rng = np.random.default_rng(first)
    for i, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for j in range(first, first + number):
            pixels = rng.integers(0, 120 + 60 * i, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{j}.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, nas: Call) -> Path:
    """Return a folder in which a search of relative paths has ended, beside its images."""
    folder = tmp_path_factory.mktemp("place")
    write_images(folder / "images")
    (folder / "search.yaml").write_text(SEARCH)
    done = nas("search", "search.yaml", "--run-dir", "run", cwd=folder, env={"PYTHONPATH": str(Path.cwd())})
    assert done.returncode == 0, done
    return folder


@pytest.fixture
def mine(place: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder, whose run reads the copied images."""
    shutil.copytree(place, tmp_path / "mine")
    file = tmp_path / "mine" / "run" / "experiment.yaml"
    file.write_text(file.read_text().replace(str(place), str(tmp_path / "mine")))
    return tmp_path / "mine"


def go_on(call: Call, run: Path, *more: str) -> Any:
    """Resume a search with a larger budget, from another working directory."""
    return call("resume", run, "rules.budget.evaluations=3", *more)


def evaluations(run: Path) -> int:
    return (run / "history.jsonl").read_text().count('"finish"')


@pytest.mark.slow
def test_a_run_of_relative_paths_goes_on_from_another_working_directory(mine: Path, call: Call) -> None:
    assert go_on(call, mine / "run").returncode == 0
    assert evaluations(mine / "run") == 3
    tested = call("test", mine / "run", "--json")
    assert tested.returncode == 0, tested
    assert json.loads(tested.stdout)["TestResult"]["classes"] == ["cat", "dog"]


@pytest.mark.slow
def test_a_run_does_not_go_on_with_images_that_were_added(mine: Path, call: Call) -> None:
    write_images(mine / "images", number=3, first=100, classes=("dog",))
    for command in (("resume", mine / "run", "rules.budget.evaluations=3"), ("test", mine / "run")):
        answer = call(*command)
        assert (answer.returncode, answer.stderr.count("\n")) == (2, 1), answer
    refused = go_on(call, mine / "run")
    assert "began with other data (evaluator: +3 images in class dog)" in refused.stderr
    assert "--changed-data" in refused.stderr
    assert evaluations(mine / "run") == 2


@pytest.mark.slow
def test_other_images_are_allowed_by_a_flag_and_written_down(mine: Path, call: Call) -> None:
    write_images(mine / "images", number=3, first=100)
    underway = mine / "run" / "checkpoints" / "history-00002-0123456789abcdef.pt"
    underway.touch()
    with pytest.warns(UserWarning, match=r"\+3 images in class cat, \+3 images in class dog.*start again"):
        assert go_on(call, mine / "run", "--changed-data").returncode == 0
    assert not underway.exists()
    assert "# data changed: evaluator: +3 images in class cat" in (mine / "run" / "experiment.yaml").read_text()
    assert call("resume", mine / "run").returncode == 0, "it has these images now"


@pytest.mark.parametrize("change", ["removed", "renamed", "other content", "class more"])
def test_a_run_does_not_go_on_with_other_images(change: str, mine: Path, call: Call) -> None:
    image = mine / "images" / "cat" / "3.png"
    if change == "removed":
        image.unlink()
    elif change == "renamed":
        image.rename(image.with_name("other.png"))
    elif change == "other content":
        Image.new("RGB", (9, 9)).save(image)
    else:
        write_images(mine / "images", classes=("emu",))
    said = {"removed": "-1 images in class cat", "class more": "+12 images in class emu"}
    answer = go_on(call, mine / "run")
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1), answer
    assert said.get(change, "the same number, with other names or contents") in answer.stderr
    assert "leave it out" not in answer.stderr


def test_a_run_whose_data_moved_says_how_to_go_on_and_takes_the_new_path(mine: Path, call: Call) -> None:
    (mine / "images").rename(mine / "moved")
    answer = go_on(call, mine / "run")
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1), answer
    assert f"nas resume {mine / 'run'} data.path=PATH" in answer.stderr
    assert go_on(call, mine / "run", f"data.path={mine / 'moved'}").returncode == 0
    assert evaluations(mine / "run") == 3
    assert call("resume", mine / "run").returncode == 0, "the new path is kept"


def test_a_new_path_to_other_images_is_refused(mine: Path, call: Call) -> None:
    write_images(mine / "others", number=9)
    answer = go_on(call, mine / "run", f"data.path={mine / 'others'}")
    assert answer.returncode == 2
    assert "-3 images in class cat, -3 images in class dog" in answer.stderr
    assert evaluations(mine / "run") == 2


def test_a_run_of_version_0_1_goes_on_and_says_that_its_data_are_unknown(mine: Path, call: Call) -> None:
    (mine / "run" / "data.json").unlink()
    with pytest.warns(UserWarning, match="does not record which data it began with"):
        assert go_on(call, mine / "run").returncode == 0
    write_images(mine / "images", number=1, first=50)
    identify(Digits())  # other data, so that the images are read again in this process
    assert call("resume", mine / "run").returncode == 2, "from now on they are known"


def test_a_table_is_the_one_that_a_run_began_with(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.array(np.meshgrid(*[range(5)] * 6)).reshape(6, -1).T
    values = np.random.default_rng(0).random((len(rows), 2))
    table = tmp_path / "data" / "table.npz"
    table.parent.mkdir()
    np.savez(table, ops=rows, columns=np.array(["val", "seconds"]), values=values)
    experiment = tmp_path / "search.yaml"
    experiment.write_text(
        "space: nasbench201\nstrategy: RandomSearch\nevaluator: {Table: {table: table.npz, validation: val, "
        "test_columns: {top1: val}, seconds: seconds}}\nrules: {budget: {evaluations: 2}}\n"
    )
    monkeypatch.setenv("NAS_DATA", str(table.parent))
    assert call("search", experiment, "--run-dir", tmp_path / "run").returncode == 0
    monkeypatch.delenv("NAS_DATA")
    assert go_on(call, tmp_path / "run").returncode == 0, "the folder of NAS_DATA is written down"
    np.savez(table, ops=rows, columns=np.array(["val", "seconds"]), values=values + 1)
    assert "evaluator: the same number, with other names or contents" in go_on(call, tmp_path / "run").stderr
    table.unlink()
    assert f"nas resume {tmp_path / 'run'} evaluator.table=PATH" in go_on(call, tmp_path / "run").stderr


def test_classes_that_nobody_wrote_are_those_of_the_data(mine: Path, call: Call) -> None:
    write_images(mine / "three", classes=("cat", "dog", "emu"))
    changes = (f"evaluator.data.path={mine / 'three'}", "rules.budget.evaluations=1", "final=null")
    done = call("search", mine / "run" / "experiment.yaml", *changes, "--run-dir", mine / "anew")
    assert done.returncode == 0, done
    assert json.loads((mine / "anew" / "best.json").read_text())["StackedNetwork"]["classes"] == ["cat", "dog", "emu"]


def test_classes_that_were_written_and_are_others_name_their_line(mine: Path, call: Call) -> None:
    file = mine / "search.yaml"
    file.write_text(SEARCH.replace("cells_per_stage: 1", "cells_per_stage: 1, classes: 3"))
    answer = call("search", file, f"evaluator.data.path={mine / 'images'}", "--run-dir", mine / "anew")
    assert answer.returncode == 2
    assert f"{file}, line 2: network.classes is 3, and the data have 2: leave it out" in answer.stderr
    assert not (mine / "anew").exists()
