"""The campaign for a GPU: all its parts run here in tiny sizes, and what has been run is not run again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import gpu_campaign
import pytest
from cifar import unpacked

TOOL = Path(gpu_campaign.__file__)


def campaign(out: Path, *names: str, data: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the campaign without a GPU."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "NAS_DATA": str(data or "")}
    command = [sys.executable, str(TOOL), str(out), *names]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def outcomes(out: Path) -> list[tuple[str, str]]:
    lines = (out / "results.jsonl").read_text().splitlines()
    return [(each["name"], each["outcome"]) for each in map(json.loads, lines)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_part_runs_in_a_tiny_size(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    data = unpacked(shared_data, tmp_path / "data")
    (data / "nasbench201.npz").symlink_to(shared_data / "nasbench201.npz")
    done = campaign(tmp_path / "out", data=data)
    assert done.returncode == 0, done
    names = "machine tests supernet_grouped supernet_search elastic training two_processes darts twin".split()
    assert outcomes(tmp_path / "out") == [(name, "done") for name in names]
    page = (tmp_path / "out" / "measured.md").read_text()
    for said in ("no GPU: sizes are tiny", "grouped over plain", "own beside plain", "two processes beside one"):
        assert said in page


def test_a_part_that_ended_well_is_not_run_again(tmp_path: Path) -> None:
    for _ in range(2):
        done = campaign(tmp_path, "machine", "darts")
        assert done.returncode == 0, done
    assert outcomes(tmp_path) == [("machine", "done"), ("darts", "left out"), ("darts", "left out")]
    assert "NAS_DATA is not set" in (tmp_path / "measured.md").read_text()


def test_an_unknown_part_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    done = campaign(tmp_path, "machines")
    assert (done.returncode, done.stderr) == (2, "")
    assert "no part is called machines: known are machine, tests, supernet_grouped" in done.stdout


def test_a_part_that_takes_too_long_is_stopped_with_its_children(tmp_path: Path) -> None:
    sleeper = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; print(1); time.sleep(61)'])"
    part = gpu_campaign.Part("sleeper", 0.02, ["-c", sleeper], ["-c", sleeper])
    found = gpu_campaign.run(part, tmp_path, 0)
    assert found.outcome == "out of time"
    assert found.seconds < 30
    left = subprocess.run(["pgrep", "-f", "time.sleep(61)"], capture_output=True, text=True, check=False)
    assert left.stdout == ""
    assert gpu_campaign.run(gpu_campaign.Part("wrong", 1, [], ["-c", "1/0"]), tmp_path, 0).outcome == "failed"
    assert gpu_campaign.run(gpu_campaign.Part("two", 1, [], [], gpus=2), tmp_path, 1).lines == (
        "needs 2 GPUs, and there is 1",
    )
