"""The same seed gives the same journal, in any process: nothing may depend on hashes, addresses or the clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from journals import untimed

Call = Callable[..., Any]
Toy = Callable[..., Path]

TRAINED = """\
# Six cells of one epoch each, on real scans.
space: nasbench201
network: {channels: 4, cells_per_stage: 1}
strategy:
  RegularizedEvolution: {population: 3, sample: 2}
evaluator:
  Training:
    data: Digits
    validation: 200
    images: 200
    recipe: {epochs: 1, batch: 50, lr: 0.1, augmentation: {crop_pad: 1, flip: true, cutout: 2}, drop_path: 0.1}
rules:
  budget: {evaluations: 6}
  seed: 5
final:
  beside_random: true
  network: {channels: 4, cells_per_stage: 1}
"""


def journal(folder: Path, name: str, *, timed: bool) -> list[dict[str, Any]]:
    """Return a journal's events without their times; where trainings were `timed`, without their seconds too."""
    events = untimed(folder, name)
    for event in events:
        if timed and "scores" in event:
            assert event["scores"].pop("seconds") >= 0
    return events


@pytest.fixture
def twice(nas: Call, tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Return a function that searches twice, in processes that hash strings differently."""

    def run(*arguments: Any, env: dict[str, str] | None = None) -> tuple[Path, Path]:
        folders = tmp_path / "first", tmp_path / "second"
        for seed, folder in zip(("1", "31337"), folders, strict=True):
            answer = nas(
                "search",
                *arguments,
                "--executor",
                "inline",
                "--run-dir",
                folder,
                env={**(env or {}), "PYTHONHASHSEED": seed},
            )
            assert answer.returncode == 0, answer.stderr
        return folders

    return run


def assert_same(folders: tuple[Path, Path], names: tuple[str, ...], *, timed: bool) -> None:
    for name in names:
        first, second = (journal(folder, name, timed=timed) for folder in folders)
        assert first == second
        assert len(first) > 2
    assert (folders[0] / "best.svg").read_bytes() == (folders[1] / "best.svg").read_bytes()


@pytest.mark.slow
def test_a_search_on_the_table_is_the_same_in_every_process(
    twice: Callable[..., tuple[Path, Path]], shared_data: Path
) -> None:
    search = "experiments/nasbench201/local_search.yaml"
    folders = twice(search, "rules.budget.evaluations=80", env={"NAS_DATA": str(shared_data)})
    assert_same(folders, ("history", "final"), timed=False)
    assert (folders[0] / "best.json").read_bytes() == (folders[1] / "best.json").read_bytes()


@pytest.mark.slow
def test_trainings_are_the_same_in_every_process(twice: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    path = tmp_path / "trained.yaml"
    path.write_text(TRAINED, encoding="utf-8")
    folders = twice(path)
    assert_same(folders, ("history", "final"), timed=True)
    weights = ("best.safetensors", "random.safetensors")
    assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in weights)


def test_a_search_that_was_cut_off_ends_as_if_it_had_not_been(toy: Toy, call: Call, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        assert call("search", toy(), "rules.budget.evaluations=40", "--run-dir", folder).returncode == 0
    lines = (cut / "history.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (cut / "history.jsonl").write_text("".join(lines[:32]), encoding="utf-8")  # a proposal is in flight
    assert call("resume", cut).returncode == 0
    assert journal(cut, "history", timed=False) == journal(whole, "history", timed=False)
