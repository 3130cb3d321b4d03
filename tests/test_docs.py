"""The pages of docs work as they are written: their code is put into files and run as a newcomer would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """Return the code blocks of a page: language, code, and the text between it and the block before."""
    found = re.findall(r"(.*?)^```(\w+)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [(language, code, before) for before, language, code in found]


def run(command: str, folder: Path) -> str:
    """Run a line of a shell in a folder, with the `nas` of this environment."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=240
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory, root: Path) -> tuple[Path, list[str]]:
    """Follow docs/your_own_space.md from top to bottom; return the folder, and what each command printed."""
    folder = tmp_path_factory.mktemp("newcomer")
    printed = []
    for language, code, before in blocks(root / "docs" / "your_own_space.md"):
        names = re.findall(r"`(\w+\.(?:py|yaml))`", before)
        if language == "sh":
            printed += [run(line, folder) for line in code.splitlines()]
        elif names:
            (folder / names[-1]).write_text(code, encoding="utf-8")
        else:
            (folder / "look.py").write_text(code, encoding="utf-8")
            printed.append(run(f"{sys.executable} look.py", folder))
    return folder, printed


def test_a_space_of_ones_own_is_short_sampled_and_counted(newcomer: tuple[Path, list[str]]) -> None:
    folder, printed = newcomer
    lines = [line for line in (folder / "my_space.py").read_text("utf-8").splitlines() if line and "import" not in line]
    assert len(lines) <= 20
    assert re.fullmatch(r"\d+ \d+ \(\d+, \d+\)\n", printed[0])
    assert run("python -c 'import nas, my_space; print(nas.count(my_space.my_space()))'", folder) == "189\n"


def test_it_is_searched_by_evolution(newcomer: tuple[Path, list[str]]) -> None:
    folder, printed = newcomer
    assert "Best of the search" in printed[1]
    assert "residual(activation=" in printed[1]
    assert (folder / "runs" / "evolution" / "shares.svg").is_file()


def test_it_is_searched_by_darts(newcomer: tuple[Path, list[str]]) -> None:
    folder, printed = newcomer
    assert "Best of the search" in printed[2]
    assert (folder / "runs" / "darts" / "supernets" / "0.svg").is_file()
    assert printed[3].count("residual(activation=") >= 2


def test_an_open_width_is_no_supernets_and_says_so(newcomer: tuple[Path, list[str]]) -> None:
    folder, _ = newcomer
    text = (
        (folder / "my_space.py")
        .read_text("utf-8")
        .replace("width, stride=1", 'one_of(f"width{number}", [8, 16]), stride=1')
    )
    (folder / "wide_space.py").write_text(text, encoding="utf-8")
    (folder / "wide.yaml").write_text((folder / "darts.yaml").read_text("utf-8").replace("my_space", "wide_space"))
    with pytest.raises(
        AssertionError, match=r"choice 'width1' does not relax: .* resolve it first, or search it by evolution"
    ):
        run("PYTHONPATH=. nas search wide.yaml --run-dir runs/wide", folder)


def test_a_space_that_cannot_be_built_is_found_before_anything_starts(newcomer: tuple[Path, list[str]]) -> None:
    folder, _ = newcomer
    text = (
        (folder / "my_space.py")
        .read_text("utf-8")
        .replace('"kernel", [3, 5]', '"kernel", [2, 4]')
        .replace("[BASIC, ", "[")
    )
    (folder / "even_space.py").write_text(text, encoding="utf-8")
    experiment = (folder / "evolution.yaml").read_text("utf-8").replace("my_space", "even_space")
    (folder / "even.yaml").write_text(experiment, encoding="utf-8")
    said = "none of 5 architectures drawn from the space builds, the first because layer 0 of the network, .* give odd kernels"
    with pytest.raises(AssertionError, match=said):
        run("PYTHONPATH=. nas search even.yaml --run-dir runs/even", folder)
    assert not (folder / "runs" / "even").exists()
