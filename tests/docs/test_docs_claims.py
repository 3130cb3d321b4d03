"""What the pages say in words, where that can be checked."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from documents import ROOT, BlockError, Process, blocks
from documents_inside import run_nas

from nas.runs.declared import recipes
from nas.runs.full_training import load_recipe


@pytest.fixture
def newcomer(tmp_path: Path) -> dict[str, str]:
    """Return the files of docs/your_own_space.md by their names."""
    return {block.file: block.code for block in blocks(ROOT / "docs" / "your_own_space.md") if block.file}


def refused(folder: Path, name: str) -> str:
    """Return what a search says that is refused."""
    with closing(Process(folder, {"PYTHONPATH": "."})) as process:
        return process.call(run_nas, ["nas", "search", name, "--run-dir", "runs/one"], name, fails=True)


def test_a_space_of_ones_own_has_20_lines(newcomer: dict[str, str]) -> None:
    lines = [line for line in newcomer["my_space.py"].splitlines() if line and "import" not in line]
    assert len(lines) <= 20


@pytest.mark.slow
def test_an_open_width_is_no_supernets_and_says_so(newcomer: dict[str, str], tmp_path: Path) -> None:
    wide = newcomer["my_space.py"].replace("width, stride=1", 'one_of(f"width{number}", [8, 16]), stride=1')
    (tmp_path / "my_space.py").write_text(wide, encoding="utf-8")
    (tmp_path / "darts.yaml").write_text(newcomer["darts.yaml"], encoding="utf-8")
    said = "choice 'width1' does not relax: .* resolve it first, or search it by evolution"
    assert re.search(said, refused(tmp_path, "darts.yaml"))


def test_a_space_that_cannot_be_built_is_found_before_anything_starts(newcomer: dict[str, str], tmp_path: Path) -> None:
    even = newcomer["my_space.py"].replace('"kernel", [3, 5]', '"kernel", [2, 4]').replace("[BASIC, ", "[")
    (tmp_path / "my_space.py").write_text(even, encoding="utf-8")
    (tmp_path / "evolution.yaml").write_text(newcomer["evolution.yaml"], encoding="utf-8")
    said = "none of 5 architectures drawn from the space builds, the first because layer 0 of the network, .* give odd kernels"
    assert re.search(said, refused(tmp_path, "evolution.yaml"))
    assert not (tmp_path / "runs").exists()


def test_the_recipes_and_their_published_numbers_are_those_of_the_files() -> None:
    page = (ROOT / "docs" / "training.md").read_text("utf-8")
    rows: dict[str, Any] = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", page, re.MULTILINE))
    assert recipes().keys() <= rows.keys()
    for name, file in recipes().items():
        expected = load_recipe(str(file))
        assert f"{expected.recipe.epochs} epochs" in rows[name] or name == "pc_darts_imagenet"
        for each in expected.expect.values():
            assert f"{each.mean:g}" in rows[name]


def test_a_block_that_should_fail_and_does_not_is_found(tmp_path: Path) -> None:
    with closing(Process(tmp_path)) as process, pytest.raises(BlockError, match="does not fail"):
        process.call(run_nas, ["nas", "list", "recipes"], "here", fails=True)
