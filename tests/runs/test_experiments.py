"""Every experiment file: it loads, says what it claims, and its networks can be built."""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from torch import nn

from nas.building import build
from nas.plain import from_plain
from nas.profiling import profile
from nas.records import to_plain
from nas.runs.declared import dump
from nas.runs.experiment import Experiment, load
from nas.space import decisions, sample

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(set((ROOT / "experiments").rglob("*.yaml")) - set((ROOT / "experiments" / "recipes").iterdir()))

every_experiment = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def header(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines)]


def parts(path: Path) -> dict[str, str]:
    """Return the header's paragraphs: `claim`, and those that begin with a word and a colon."""
    found, name = {"claim": ""}, "claim"
    for line in header(path):
        for word in ("Source", "Hardware", "Run here"):
            if line.startswith(f"{word}:"):
                name, line = word, line.removeprefix(f"{word}:").strip()
        found[name] = f"{found.get(name, '')} {line}".strip()
    return found


def test_there_are_experiments() -> None:
    assert {"amoebanet", "quickstart", "regularized_evolution", "ageing_evolution"} <= {path.stem for path in FILES}


@every_experiment
def test_the_header_states_claim_source_and_hardware(path: Path) -> None:
    said = parts(path)
    assert len(said["claim"].split()) >= 8, "the first lines say what is claimed"
    assert "arXiv:" in said["Source"]
    assert said["Hardware"]


@every_experiment
def test_a_number_of_no_publication_is_said_to_be_none(path: Path) -> None:
    experiment = load(path)
    for name, expected in experiment.expect.items():
        assert expected.std is not None or "no published" in parts(path)["Source"], name


@every_experiment
def test_it_loads_and_its_space_opens(path: Path) -> None:
    experiment = load(path)
    space = experiment.open_space()
    assert decisions(space, sample(space, Random(0)))


@every_experiment
def test_its_resolved_form_loads_to_an_equal_experiment(path: Path, tmp_path: Path) -> None:
    experiment = load(path)
    (tmp_path / "experiment.yaml").write_text(dump(experiment), encoding="utf-8")
    again = load(tmp_path / "experiment.yaml")
    assert again == experiment
    assert dump(again) == dump(experiment)


@every_experiment
def test_its_plain_form_reads_back(path: Path) -> None:
    experiment = load(path)
    assert from_plain(to_plain(experiment), Experiment) == experiment


def networks(experiment: Experiment) -> list[tuple[Callable[..., Any], dict[str, Any]]]:
    """Return how the experiment stacks a member, while searching and in the end."""
    declared = [experiment.network] + ([experiment.final.network] if experiment.final else [])
    return [
        (experiment.family().network, experiment.network_options({"classes": 7, **options})) for options in declared
    ]


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.stem != "ageing_evolution"], ids=lambda path: path.stem
)
def test_its_networks_build_for_the_classes_of_the_data(path: Path) -> None:
    experiment = load(path)
    architecture = sample(experiment.open_space(), Random(0))
    for network, options in networks(experiment):
        with torch.device("meta"):
            model = build(network(architecture, **options), (12, 32, 32))  # clips of 3 or 4 frames, too
        assert [each for each in model.modules() if isinstance(each, nn.Linear)][-1].out_features == 7


def test_the_quickstart_ends_with_a_larger_network_than_it_searches_with() -> None:
    experiment = load(ROOT / "experiments" / "quickstart.yaml")
    architecture = sample(experiment.open_space(), Random(0))
    searched, final = (
        profile(network(architecture, **options), (1, 8, 8)) for network, options in networks(experiment)
    )
    assert final.params > searched.params
