"""The whole of it, in a process of its own: a search, a training of which a worker is killed, and two transfers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from nas.evaluation.results import read_test

SCRIPT = Path(__file__).parents[1] / "end_to_end.py"
WAYS = {"linear_probe", "fine_tune", "scratch"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_everything_from_the_search_to_the_transfer(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if not os.environ.get("NAS_DATA"):
        request.getfixturevalue("shared_data")  # skips where there is none
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path)], check=False)
    assert done.returncode == 0
    steps = json.loads((tmp_path / "summary.json").read_text())

    finished = [line for line in (tmp_path / "search" / "history.jsonl").read_text().splitlines() if '"finish"' in line]
    assert len(finished) == 12
    measured = read_test(tmp_path / "train" / "best.safetensors")
    assert measured is not None
    assert measured.raw.images == 10_000, "the whole test set"
    assert steps["train"]["test_top1_percent"] > 45, "far above the 10 % of guessing"
    assert Image.open(next((tmp_path / "photographs" / "animal").iterdir())).size == (40, 40)

    assert steps["transfer to Digits"].keys() == {"seconds", *WAYS}
    assert steps["transfer to Digits"]["linear_probe"]["100 %"] > 50, "far above the 10 % of guessing"
    assert all(steps["transfer to photographs"][way].keys() == {"10 %", "100 %"} for way in WAYS)
    assert steps["transfer to photographs"]["fine_tune"]["100 %"] > 60, "above the 50 % of guessing"
    assert (tmp_path / "search/best.svg").read_text().startswith("<")


def test_without_images_it_says_where_they_are_looked_for(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "NAS_DATA"}
    environment["NAS_SHARED_DATA"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"there is no CIFAR-10 in {tmp_path}: set NAS_DATA" in done.stderr
    assert not list(tmp_path.iterdir()), "nothing is left"
