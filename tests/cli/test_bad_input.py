"""What a user can get wrong: one line that says what, where and what to write instead; and nothing is lost.

The messages are read as a user reads them. A traceback, a second line or a folder left behind is a failure.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from journals import untimed
from PIL import Image

from nas.operations.separable import SepConv
from nas.records import RecordError, classes
from nas.runs.experiment import load
from nas.space import SpaceError, decisions
from nas.topology.cell import Cell, Edge
from search_spaces import darts, nasbench201

Call = Callable[..., Any]
Toy = Callable[..., Path]


def assert_says(answer: Any, *parts: object) -> None:
    """Check that a command gave one clear line, with these parts in it, and exit code 2."""
    assert "Traceback" not in answer.stderr
    assert answer.stderr.startswith("nas: "), answer.stderr
    assert answer.stderr.count("\n") == 1, answer.stderr
    for part in parts:
        assert str(part) in answer.stderr, answer.stderr
    assert answer.returncode == 2


# --------------------------------------------------------------------------------- experiment files: one wrong value

WRONG_VALUES: dict[str, tuple[str, str, str, str, str]] = {
    # what is wrong: the text, what stands there instead, line, key, repair
    "key": ("population:", "populaton:", "line 4", "strategy.RegularizedEvolution.populaton", "'population'"),
    "key at the top": ("evaluator:", "evalutor:", "line 5", "evalutor", "'evaluator'"),
    "space": ("space: bits", "space: bitz", "line 2", "space", "did you mean 'bits'?"),
    "option of a space": ("space: bits", "space: {bits: {lenght: 8}}", "line 2", "space.bits.lenght", "'length'"),
    "operation of a space": (
        "space: bits",
        "space: {nasnet: {operations: [sep33, max3]}}",
        "line 2",
        "operations",
        "did you mean 'sep3'?",
    ),
    "no space": ("space: bits", "space: {}", "line 2", "space", "bits"),
    "two spaces": ("space: bits", "space: {bits: {}, darts: {}}", "line 2", "space", "one"),
    "a space of nothing": ("space: bits", "space: {bits: {length: 0}}", "line 2", "length", "at least 1"),
    "option of a network": (
        "space: bits",
        "space: nasbench201\nnetwork: {chanels: 4}",
        "line 3",
        "network.chanels",
        "'channels'",
    ),
    "option of the final network": (
        "space: bits",
        "space: nasbench201\nfinal: {network: {chanels: 4}}",
        "line 3",
        "final.network.chanels",
        "'channels'",
    ),
    "strategy": ("RegularizedEvolution", "RegularisedEvolution", "line 3", "strategy", "'RegularizedEvolution'"),
    "no strategy at all": (
        "RegularizedEvolution",
        "Genetic",
        "line 3",
        "strategy",
        "known are AdaNet, Bananas, Bohb",
    ),
    "evaluator": ("NoisyBits", "NoisyBit", "line 5", "evaluator", "'NoisyBits'"),
    "type": ("population: 4", "population: many", "line 4", "population is 'many'", "a whole number"),
    "a list for a number": ("evaluations: 12", "evaluations: [12]", "line 8", "rules.budget.evaluations", "whole"),
    "range": ("population: 4", "population: 0", "line 4", "population is 0", "at least 1"),
    "no number": ("noise: 0.01", "noise: .nan", "line 6", "evaluator.NoisyBits.noise is nan", "at least 0"),
    "seed": ("objective: fitness", "seed: -1", "line 9", "rules.seed is -1", "at least 0"),
    "negative budget": ("evaluations: 12", "seconds: -1", "line 8", "rules.budget.seconds", "at least"),
    "empty budget": (
        "evaluations: 12",
        "",
        "line 8",
        "rules.budget",
        "give `evaluations`, `seconds`, `hours` or `epochs`",
    ),
    "more than there are": ("sample: 2", "sample: 5, replacement: false", "line 4", "sample 5", "draw fewer"),
    "key twice": ("sample: 2", "population: 5", "line 4", "strategy.RegularizedEvolution.population", "twice"),
    "key at the top twice": ("strategy:", "space: darts\nstrategy:", "line 3", "space", "remove one"),
    "choice of words": ("sample: 2", "removes: oldst", "line 4", "removes is 'oldst'", "'oldest'"),
}


@pytest.mark.parametrize("wrong", WRONG_VALUES)
def test_a_wrong_value_is_named_with_file_line_key_and_repair(
    wrong: str, toy: Toy, call: Call, run_folder: Path
) -> None:
    old, new, line, key, repair = WRONG_VALUES[wrong]
    path = toy((old, new))
    assert_says(call("search", path, "--run-dir", run_folder), f"{path}, {line}: ", key, repair)
    assert not run_folder.exists(), "nothing may be begun"


@pytest.mark.parametrize("key", ["space", "strategy", "evaluator", "rules"])
def test_a_missing_part_is_named(key: str, toy: Toy, call: Call, run_folder: Path) -> None:
    path = toy()
    parts = yaml.safe_load(path.read_text(encoding="utf-8"))
    del parts[key]
    path.write_text(yaml.safe_dump(parts), encoding="utf-8")
    missing = "rules.budget" if key == "rules" else key
    assert_says(call("search", path, "--run-dir", run_folder), f"{path}: {missing} is missing: give it a value")
    assert not run_folder.exists()


FILES_OF_NO_USE = {
    "empty": ("", "`key: value`"),
    "only a comment": ("# nothing yet\n", "`key: value`"),
    "no YAML": ("space: [bits\nstrategy: }{\n", "line 2"),
    "a tab": ("space:\n\tbits: {}\n", "line 2"),
    "a list": ("- space: bits\n- strategy: RandomSearch\n", "`key: value`"),
    "a word": ("bits\n", "`key: value`"),
    "two documents": ("space: bits\n---\nspace: bits\n", "document"),
    "a part of itself": ("space: &again [*again]\n", "has a part that contains itself"),
}


@pytest.mark.parametrize("kind", FILES_OF_NO_USE)
def test_a_file_of_no_use_is_named_with_what_to_write(kind: str, call: Call, tmp_path: Path, run_folder: Path) -> None:
    text, repair = FILES_OF_NO_USE[kind]
    path = tmp_path / "experiment.yaml"
    path.write_text(text, encoding="utf-8")
    assert_says(call("search", path, "--run-dir", run_folder), path, repair)
    assert not run_folder.exists()


def test_a_binary_file_is_no_experiment(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_bytes(b"\xff\xfe\x00\x01")
    assert_says(call("search", path), f"{path} cannot be read")


def test_a_missing_file_is_named(call: Call, tmp_path: Path) -> None:
    assert_says(call("search", tmp_path / "nowhere.yaml"), f"there is no file {tmp_path / 'nowhere.yaml'}")


def test_a_folder_is_no_experiment(call: Call, tmp_path: Path) -> None:
    assert_says(call("search", tmp_path), tmp_path, "directory")


def test_a_module_that_cannot_be_imported_is_named(toy: Toy, call: Call) -> None:
    path = toy(more="imports: [no_such_module]\n")
    assert_says(call("search", path), f"{path}, line 10: ", "'no_such_module'", "PYTHONPATH")


# ---------------------------------------------------------------------------------------------------- assignments


@pytest.mark.parametrize(
    ("assignment", "parts"),
    [
        ("strategy.populaton=3", ["strategy.RegularizedEvolution.populaton", "did you mean 'population'?"]),
        ("rulez.seed=3", ["rulez", "did you mean 'rules'?"]),
        ("rules.seed.deeper=3", ["rules.seed", "a whole number"]),
        ("rules.seed", ["'rules.seed' sets nothing", "write key=value"]),
        ("=3", ["'=3' sets nothing", "write key=value"]),
        ("strategy.population=many", ["population is 'many'", "a whole number"]),
        ("rules.seed=-1", ["rules.seed is -1", "at least 0"]),
        ("rules.seed=[1", ["rules.seed=[1"]),
    ],
)
def test_a_wrong_assignment_is_named(assignment: str, parts: list[str], toy: Toy, call: Call, run_folder: Path) -> None:
    assert_says(call("search", toy(), assignment, "--run-dir", run_folder), *parts)
    assert not run_folder.exists()


def test_a_negative_seed_is_refused(toy: Toy, call: Call, run_folder: Path) -> None:
    assert_says(call("search", toy(), "--seed", "-1", "--run-dir", run_folder), "rules.seed is -1", "at least 0")
    assert not run_folder.exists()


def test_no_workers_are_refused(toy: Toy, call: Call, run_folder: Path) -> None:
    assert_says(call("search", toy(), "--workers", "0", "--run-dir", run_folder), "workers is 0", "at least 1")
    assert not run_folder.exists()


def test_an_unknown_executor_is_named_with_the_nearest(toy: Toy, call: Call, run_folder: Path) -> None:
    answer = call("search", toy(), "--executor", "inlin", "--run-dir", run_folder)
    assert_says(answer, "--executor", "'inlin'", "did you mean 'inline'?")
    assert not run_folder.exists()


# -------------------------------------------------------------------------------------------------- architectures


def test_an_unknown_operation_in_a_genotype_is_named_with_the_nearest() -> None:
    genotype = darts.to_genotype(darts.PUBLISHED["DARTS_V2"])
    genotype["normal"][3] = ["sep_conv_3x33", 1]
    with pytest.raises(RecordError, match=r"an operation 'sep_conv_3x33': did you mean 'sep_conv_3x3'\?"):
        darts.from_genotype(genotype)


def test_a_genotype_without_a_part_is_refused() -> None:
    genotype = darts.to_genotype(darts.PUBLISHED["DARTS_V2"])
    del genotype["reduce_concat"]
    with pytest.raises(RecordError, match="has no 'reduce_concat': give normal, normal_concat"):
        darts.from_genotype(genotype)


def test_an_unknown_operation_in_a_nasbench201_string_is_named_with_the_nearest() -> None:
    text = "|nor_conv_3x3~0|+|none~0|nor_conv_33~1|+|skip_connect~0|none~1|none~2|"
    with pytest.raises(RecordError, match=r"an operation 'nor_conv_33': did you mean 'nor_conv_3x3'\?"):
        nasbench201.from_string(text)


@pytest.mark.parametrize("text", ["", "nor_conv_3x3", "|none~0|+|none~0|none~1|", "|none~1|+|none~0|none~1|+|none~0|"])
def test_a_string_of_another_form_is_no_nasbench201_cell(text: str) -> None:
    with pytest.raises(RecordError, match=r"is not a NAS-Bench-201 cell: write \|op~0\|"):
        nasbench201.from_string(text)


def test_a_member_of_another_space_is_told_by_the_decision_that_fails() -> None:
    cell = nasbench201.from_string("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    foreign = Cell(
        (cell.nodes[0], (cell.nodes[1][0], Edge(1, SepConv(3))), cell.nodes[2]), (3,), reads=1, preprocess="never"
    )
    with pytest.raises(SpaceError, match="not a member of the space: choice '1-2' cannot be SepConv"):
        decisions(nasbench201.nasbench201(), foreign)


def test_what_is_no_cell_at_all_is_no_member() -> None:
    with pytest.raises(SpaceError, match="not a member of the space"):
        decisions(nasbench201.nasbench201(), darts.PUBLISHED["DARTS_V2"])


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("darts:DARTS_V3", ["darts has no architecture 'DARTS_V3'", "did you mean 'DARTS_V2'?"]),
        ("dart:DARTS_V2", ["there is no space 'dart'", "did you mean 'darts'?"]),
        ("DARTS_V2", ["there is no architecture 'DARTS_V2'", "space:name such as darts:DARTS_V2"]),
        ("darts:", ["darts has no architecture ''", "DARTS_V2"]),
        ("no/such.json", ["there is no architecture 'no/such.json'", "a JSON or YAML file"]),
    ],
)
@pytest.mark.parametrize("command", ["profile", "show"])
def test_an_unknown_architecture_is_named_with_the_nearest(
    command: str, name: str, parts: list[str], call: Call
) -> None:
    assert_says(call(command, name), *parts)


@pytest.mark.parametrize("shape", ["3,224", "a,b,c", "", "3,224,224,1", "0,32,32", "3,0,32", "-3,8,8"])
def test_a_wrong_input_shape_is_refused(shape: str, call: Call) -> None:
    assert_says(call("profile", "darts:DARTS_V2", "--input", shape), "--input", "as 3,224,224")


@pytest.mark.parametrize(
    ("option", "parts"),
    [
        ("chanels=48", ["chanels", "did you mean 'channels'?"]),
        ("stem=imagnet", ["stem is 'imagnet'", "did you mean 'imagenet'?"]),
        ("channels=wide", ["channels is 'wide'", "a whole number"]),
        ("channels=0", ["channels is 0", "at least 1"]),
        ("channels", ["'channels' sets nothing", "key=value"]),
    ],
)
def test_a_wrong_option_of_a_network_is_named(option: str, parts: list[str], call: Call) -> None:
    assert_says(call("profile", "darts:DARTS_V2", option), *parts)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["cannot be read as an architecture"]),
        ("{", ["cannot be read as an architecture"]),
        ("[]", ["[] is no architecture: give a tree in notation, "]),
        ('{"Cell": {"nodes": []}}', ["Cell"]),
        ('{"Found": {"family": "dart", "architecture": {}}}', ["there is no space 'dart'", "'darts'"]),
        ('{"Found": {"family": "darts", "architecture": {"Cellz": {}}}}', ["Found.architecture", "'Cell'"]),
        ('{"Found": {"family": "darts", "architecture": 3}}', ["architecture"]),
        ('{"Found": {"family": "darts", "architecture": {"Bits": {"values": [1]}}}}', ["architecture"]),
        ('{"cellstack": 99, "Found": {}}', ["best.json: written in format 99", "upgrade cellstack"]),
        ('{"cellstack": 99, "Cells": {}}', ["best.json: written in format 99", "upgrade cellstack"]),
    ],
)
def test_a_broken_architecture_file_is_named(text: str, parts: list[str], call: Call, tmp_path: Path) -> None:
    path = tmp_path / "best.json"
    path.write_text(text, encoding="utf-8")
    assert_says(call("profile", path), *parts)


def test_bits_are_no_network(call: Call, toy: Toy, run_folder: Path) -> None:
    assert call("search", toy(), "--run-dir", run_folder).returncode == 0
    assert_says(call("profile", run_folder), "a string of bits is not a network")


def test_an_unknown_section_is_named_with_the_nearest(call: Call) -> None:
    assert_says(call("list", "strategys"), "there is no list of 'strategys'", "did you mean 'strategies'?")


def test_an_experiment_that_expects_nothing_cannot_be_reproduced(toy: Toy, call: Call) -> None:
    assert_says(call("reproduce", toy()), "no `expect:`", "nothing to compare with")


def test_an_expected_score_that_no_run_has_is_named_with_those_there_are(toy: Toy, call: Call, tmp_path: Path) -> None:
    path = toy(more="expect: {fitnes: {mean: 1, tolerance: 1}}\n")
    assert_says(call("reproduce", path, "--run-dir", tmp_path / "kept"), "expect.fitnes", "highest_fitness")


# --------------------------------------------------------------------------------------------------------- tables

TABLE_SEARCH = "experiments/nasbench201/random_search.yaml"


@pytest.fixture
def arrays(shared_data: Path) -> dict[str, np.ndarray]:
    with np.load(shared_data / "nasbench201.npz") as table:
        return dict(table)


def search_table(call: Call, run_folder: Path, table: Path | str, *changes: str) -> Any:
    return call("search", TABLE_SEARCH, f"evaluator.table={table}", *changes, "--run-dir", run_folder)


def test_a_missing_table_says_how_to_give_it(call: Call, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_says(search_table(call, run_folder, "no.npz"), "'no.npz'", "NAS_DATA is not set", "set NAS_DATA")
    monkeypatch.setenv("NAS_DATA", str(run_folder.parent))
    again = search_table(call, run_folder.with_name("second"), "no.npz")
    assert_says(again, "'no.npz'", f"nor in NAS_DATA={run_folder.parent}")


def test_a_torn_table_is_to_be_fetched_again(call: Call, run_folder: Path, shared_data: Path, tmp_path: Path) -> None:
    whole = (shared_data / "nasbench201.npz").read_bytes()
    torn = tmp_path / "torn.npz"
    torn.write_bytes(whole[: len(whole) // 2])
    assert_says(search_table(call, run_folder, torn), f"table {torn} cannot be read", "fetch it again")


def test_a_table_with_a_damaged_byte_is_to_be_fetched_again(
    call: Call, run_folder: Path, shared_data: Path, tmp_path: Path
) -> None:
    damaged = bytearray((shared_data / "nasbench201.npz").read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    path = tmp_path / "damaged.npz"
    path.write_bytes(damaged)
    assert_says(search_table(call, run_folder, path), f"table {path} cannot be read", "fetch it again")


def test_a_table_without_a_column_names_the_nearest(
    call: Call, run_folder: Path, arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    place = arrays["columns"].tolist().index("c10_valid12")
    columns, values = np.delete(arrays["columns"], place), np.delete(arrays["values"], place, axis=1)
    path = tmp_path / "narrow.npz"
    np.savez(path, ops=arrays["ops"], columns=columns, values=values)
    assert_says(search_table(call, run_folder, path), f"table {path} has no column 'c10_valid12'", "did you mean 'c")


def test_a_table_without_values_is_to_be_fetched_again(
    call: Call, run_folder: Path, arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / "empty.npz"
    np.savez(path, ops=arrays["ops"], columns=arrays["columns"])
    assert_says(search_table(call, run_folder, path), f"table {path} cannot be read", "values", "fetch it again")


def test_a_table_without_rows_is_refused(
    call: Call, run_folder: Path, arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / "rowless.npz"
    np.savez(path, ops=arrays["ops"][:0], columns=arrays["columns"], values=arrays["values"][:0])
    assert_says(search_table(call, run_folder, path), f"table {path}", "fetch it again")


def test_a_table_of_another_space_is_refused(call: Call, run_folder: Path, shared_data: Path) -> None:
    answer = search_table(call, run_folder, shared_data / "nasbench201.npz", "space=darts")
    assert_says(answer, "table ", "is of another space")


# ----------------------------------------------------------------------------------------------------------- data


@pytest.fixture
def search_folder(call: Call, tmp_path: Path, run_folder: Path) -> Callable[[Path], Any]:
    """Return a function that searches on a folder of images."""
    path = tmp_path / "images.yaml"

    def search(images: Path) -> Any:
        path.write_text(
            f"space: nasbench201\nstrategy: RandomSearch\nrules: {{budget: {{evaluations: 1}}}}\n"
            f"evaluator: {{Training: {{data: {{ImageFolder: {{path: {images}, size: 8}}}}}}}}\n",
            encoding="utf-8",
        )
        return call("search", path, "--run-dir", run_folder)

    return search


def test_a_missing_data_folder_is_named(search_folder: Callable[[Path], Any], tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert_says(search_folder(nowhere), f"folder {nowhere} does not exist", "a subfolder of images for each class")


def test_a_folder_without_images_is_named(search_folder: Callable[[Path], Any], tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "cats").mkdir(parents=True)
    (folder / "cats" / "notes.txt").write_text("no image")
    assert_says(search_folder(folder), f"folder {folder} has no images in subfolders", "at least two classes")


def test_a_folder_with_one_class_is_named(search_folder: Callable[[Path], Any], tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "cats").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(folder / "cats" / "1.png")
    assert_says(search_folder(folder), f"folder {folder} has one class, 'cats'", "at least two classes")


def test_broken_images_are_named(search_folder: Callable[[Path], Any], tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        (folder / name / "1.png").write_bytes(b"no image")
    answer = search_folder(folder)
    assert_says(answer, "2 of 2 images", folder / "cats" / "1.png", "repair or remove them")


def test_missing_cifar_is_named(call: Call, run_folder: Path, tmp_path: Path) -> None:
    data = f"evaluator.data={{Cifar10: {{folder: {tmp_path}}}}}"
    answer = call("search", "experiments/quickstart.yaml", data, "--executor", "inline", "--run-dir", run_folder)
    assert_says(answer, f"folder {tmp_path} has no CIFAR-10", "cifar-10-batches-bin")


def test_missing_data_of_the_final_training_are_found_before_the_search(
    toy: Toy, call: Call, run_folder: Path, tmp_path: Path
) -> None:
    data = f"{{Cifar10: {{folder: {tmp_path / 'nowhere'}}}}}"
    path = toy(more=f"final:\n  evaluator:\n    Training: {{data: {data}}}\n")
    assert_says(call("search", path, "--run-dir", run_folder), "has no CIFAR-10")
    assert not (run_folder / "history.jsonl").exists(), "a whole search was run before"


# ------------------------------------------------------------------------------------------------------ Ray clusters


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_fewer_gpus_than_asked_for_says_what_there_is(nas: Call, run_folder: Path) -> None:
    answer = nas("search", "experiments/quickstart.yaml", "--gpus-per-worker", "1", "--run-dir", run_folder)
    assert_says(answer, "1 GPU each do not fit", "room for 0", "0 GPUs", "--gpus-per-worker")
    assert "--workers 1" not in answer.stderr, "one worker would not fit either"


@pytest.fixture
def dead_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
    return port


def test_a_dead_address_says_how_to_start_a_cluster(toy: Toy, call: Call, run_folder: Path, dead_port: int) -> None:
    pytest.importorskip("ray")
    address = f"127.0.0.1:{dead_port}"
    answer = call("search", toy(), "--address", address, "--run-dir", run_folder)
    assert_says(answer, f"no Ray cluster answers at {address}", "ray start --head")


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("auto", ConnectionError("Could not find any running Ray instance. Please specify the one to connect to")),
        ("nonsense", ValueError("Invalid address format: nonsense")),
    ],
)
def test_an_address_that_ray_refuses_is_one_line(
    address: str, error: Exception, toy: Toy, call: Call, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray")

    def refuse(*arguments: Any, **options: Any) -> None:
        raise error  # as ray.init does where it finds no cluster, or cannot read the address

    monkeypatch.setattr(ray, "init", refuse)
    assert_says(call("search", toy(), "--address", address, "--run-dir", run_folder), address, "ray start --head")


# ---------------------------------------------------------------------------------------------------- run folders


@pytest.fixture
def finished(toy: Toy, call: Call, run_folder: Path) -> Path:
    """Return the folder of a small run that ended."""
    assert call("search", toy(), "--run-dir", run_folder).returncode == 0
    return run_folder


def test_a_run_folder_that_exists_is_left_alone(finished: Path, toy: Toy, call: Call) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    answer = call("search", toy(), "--run-dir", finished)
    assert_says(answer, f"run folder {finished} exists", f"`nas resume {finished}`", "--run-dir")
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_a_run_folder_cannot_be_made_in_a_file(toy: Toy, call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = call("search", toy(), "--run-dir", tmp_path / "file" / "run")
    assert_says(answer, tmp_path / "file" / "run", "--run-dir")


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_a_folder_that_is_no_run_cannot_be_resumed(name: str, call: Call, tmp_path: Path) -> None:
    folder = tmp_path / name
    assert_says(call("resume", folder), f"{folder} is no run folder", "experiment.yaml", "`nas transfer` make one")


def test_a_run_whose_journal_is_gone_is_not_searched_again_beside_its_weights(finished: Path, call: Call) -> None:
    (finished / "final.jsonl").write_bytes((finished / "history.jsonl").read_bytes())
    (finished / "history.jsonl").unlink()
    before = (finished / "best.json").read_bytes()
    assert_says(call("resume", finished), f"{finished} has trained its best", "history.jsonl, is missing", "--run-dir")
    assert (finished / "best.json").read_bytes() == before


def test_a_folder_without_a_best_is_no_architecture(call: Call, tmp_path: Path) -> None:
    assert_says(call("show", tmp_path), f"{tmp_path} has no best.json")


def test_a_torn_last_line_is_done_again(finished: Path, call: Call) -> None:
    whole, journal = untimed(finished), finished / "history.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    journal.write_text("".join(lines[:12]) + lines[12][:30], encoding="utf-8")
    assert call("resume", finished).returncode == 0
    assert untimed(finished) == whole
    assert sum("scores" in event for event in untimed(finished)) == 12
    ended = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines() if '"finish"' in line]
    assert [event["number"] for event in ended if "again" in event] == [5], "the one that was in flight"
    assert all(event["again"] <= event["at"] for event in ended if "again" in event)


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda lines: lines.__setitem__(5, "garbage\n"), 6),
        (lambda lines: lines.__setitem__(5, "[1]\n"), 6),
        (lambda lines: lines.__setitem__(5, lines[5][:40] + "\n"), 6),
        (lambda lines: lines.insert(5, lines[4]), 6),
        (lambda lines: lines.pop(1), 2),
        (lambda lines: lines.__setitem__(0, "{}\n"), 1),
        (lambda lines: lines.__setitem__(0, '{"cellstack": 99}\n'), 1),
    ],
    ids=["garbage", "list", "cut line", "line twice", "line lost", "no version", "later version"],
)
def test_a_damaged_journal_names_the_line_and_is_left_alone(
    damage: Callable[[list[str]], None], line: int, finished: Path, call: Call
) -> None:
    journal = finished / "history.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    damage(lines)
    journal.write_text("".join(lines), encoding="utf-8")
    assert_says(call("resume", finished), f"{journal}, line {line}: damaged", "repair it, or truncate the file")
    assert journal.read_text(encoding="utf-8") == "".join(lines)


def test_a_run_whose_experiment_was_spoilt_says_where(finished: Path, call: Call) -> None:
    path = finished / "experiment.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("population: 4", "population: four"), encoding="utf-8")
    assert_says(call("resume", finished), f"{path}, line ", "population is 'four'", "a whole number")


# -------------------------------------------------------------------------------- candidates that fail by themselves

TROUBLE = """
import torch

from nas.evaluation.evaluator import Evaluator, Progress, at_once
from nas.records import record


@record
class Trouble(Evaluator):
    '''Fails in a way of its own for every n-th candidate.'''

    kind: str
    every: int = 3

    def evaluate(self, task, job):
        yield Progress(1, 2)
        share = sum(job.architecture.values) / len(job.architecture.values)
        if job.number % self.every:
            return {"fitness": share}
        if self.kind == "nan":
            return {"fitness": float("nan")}
        if self.kind == "infinite":
            return {"fitness": float("-inf")}
        if self.kind == "missing":
            return {"fitnes" if job.number else "fitness": share}
        if self.kind == "memory":
            raise torch.OutOfMemoryError("Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 8.00 GiB")
        if self.kind == "brackets":
            raise ValueError("a size of [/a] and [b]")
        if self.kind == "text":
            return {"fitness": "high"}
        if self.kind == "tensor":
            return {"fitness": torch.tensor(share)}
        raise RuntimeError(f"shapes differ at #{job.number}\\nwith a second line")

    def test(self, task, job, weights=None):
        return at_once({"fitness": 1.0})
"""


@pytest.fixture
def troubled(
    toy: Toy, tmp_path: Path, call: Call, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """Return a function that searches with an evaluator of one's own, which fails in a given way."""
    (tmp_path / "trouble_evaluator.py").write_text(TROUBLE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def search(kind: str, every: int = 3, *more: str) -> Any:
        path = toy(("NoisyBits: {noise: 0.01}", f"Trouble: {{kind: {kind}, every: {every}}}"))
        path.write_text(path.read_text(encoding="utf-8") + "imports: [trouble_evaluator]\n", encoding="utf-8")
        return call("search", path, "rules.give_up_after=5", *more, "--run-dir", run_folder)

    yield search
    sys.modules.pop("trouble_evaluator", None)
    classes.pop("Trouble", None)  # so that tests of all records do not meet it


REASONS = {
    "nan": "fitness is nan",
    "infinite": "fitness is -inf",
    "missing": "fitness is missing",
    "memory": "out of memory",
    "brackets": "ValueError: a size of [/a] and [b]",
    "error": "RuntimeError: shapes differ at #3",
}


@pytest.mark.parametrize("kind", REASONS)
def test_a_candidate_that_fails_is_recorded_with_its_reason_and_the_search_goes_on(
    kind: str, troubled: Callable[..., Any], run_folder: Path
) -> None:
    answer = troubled(kind)
    assert answer.returncode == 0
    ends = {event["number"]: event for event in untimed(run_folder) if event.get("event") == "finish"}
    assert sorted(ends) == list(range(12))
    failed = (
        [3, 6, 9] if kind == "missing" else [0, 3, 6, 9]
    )  # what lacks the objective from the first on ends the search
    assert [number for number, event in ends.items() if "failure" in event] == failed
    assert ends[3]["failure"].startswith(REASONS[kind])
    assert f"#3 failed: {REASONS[kind]}" in answer.stdout
    assert json.loads((run_folder / "best.json").read_text(encoding="utf-8"))["StackedNetwork"]["scores"]["fitness"] > 0


@pytest.mark.parametrize("kind", ["text", "tensor"])
def test_a_score_that_is_no_number_fails_its_candidate_alone(
    kind: str, troubled: Callable[..., Any], run_folder: Path
) -> None:
    assert troubled(kind).returncode == 0
    assert sum(event.get("event") == "finish" for event in untimed(run_folder)) == 12


def test_a_failure_leaves_its_traceback(troubled: Callable[..., Any], run_folder: Path) -> None:
    troubled("error")
    traces = sorted((run_folder / "failures").iterdir())
    assert [path.name for path in traces] == [f"history-{number:05}.txt" for number in (0, 3, 6, 9)]
    text = traces[1].read_text(encoding="utf-8")
    assert text.startswith("Traceback")
    assert "trouble_evaluator.py" in text
    assert "RuntimeError: shapes differ at #3\nwith a second line" in text


def test_a_search_whose_candidates_all_fail_gives_up_with_the_commonest_reason(
    troubled: Callable[..., Any], run_folder: Path
) -> None:
    answer = troubled("memory", 1)
    assert answer.returncode == 1
    assert "5 evaluations in a row failed, 5 of them with: out of memory" in answer.stdout + answer.stderr
    assert "Traceback" not in answer.stdout + answer.stderr
    assert len(list((run_folder / "failures").iterdir())) == 5
    assert sum("failure" in event for event in untimed(run_folder)) == 5


def test_a_search_that_gives_up_names_no_folder_that_is_not_there(
    troubled: Callable[..., Any], run_folder: Path
) -> None:
    answer = troubled("nan", 1)
    assert answer.returncode == 1
    assert "5 evaluations in a row failed, 5 of them with: fitness is nan" in answer.stdout + answer.stderr
    named = str(run_folder / "failures") in answer.stdout + answer.stderr
    assert named == (run_folder / "failures").is_dir()


def test_a_search_that_ends_without_any_success_says_why(troubled: Callable[..., Any], run_folder: Path) -> None:
    answer = troubled("memory", 1, "rules.budget.evaluations=3")
    assert answer.returncode == 1
    assert "3 evaluations in a row failed, 3 of them with: out of memory" in answer.stdout + answer.stderr


def test_an_objective_that_no_candidate_has_is_named_with_those_there_are(
    toy: Toy, call: Call, run_folder: Path
) -> None:
    answer = call("search", toy(("objective: fitness", "objective: fitnes")), "--run-dir", run_folder)
    assert answer.returncode in (1, 2)
    assert "fitnes" in answer.stdout + answer.stderr
    assert "true_fitness" in answer.stdout + answer.stderr, "the scores that there are"


def test_failed_candidates_are_not_tried_again_on_resume(
    troubled: Callable[..., Any], call: Call, run_folder: Path
) -> None:
    troubled("error")
    before = (run_folder / "history.jsonl").read_bytes()
    assert call("resume", run_folder).returncode == 0
    assert (run_folder / "history.jsonl").read_bytes() == before


# ---------------------------------------------------------------------------------------- in a process of its own


def test_a_wrong_key_in_a_process_of_its_own(nas: Call, toy: Toy, run_folder: Path) -> None:
    path = toy(("sample: 2", "sampel: 2"))
    answer = nas("search", path, "--run-dir", run_folder)
    assert_says(answer, f"{path}, line 4: strategy.RegularizedEvolution.sampel: no such key", "did you mean 'sample'?")
    assert not run_folder.exists()


def test_an_evaluator_of_ones_own_is_found_on_the_path(nas: Call, toy: Toy, tmp_path: Path, run_folder: Path) -> None:
    (tmp_path / "trouble_evaluator.py").write_text(TROUBLE, encoding="utf-8")
    path = toy(("NoisyBits: {noise: 0.01}", "Trouble: {kind: memory}"), more="imports: [trouble_evaluator]\n")
    answer = nas("search", path, "--run-dir", run_folder, env={"PYTHONPATH": str(tmp_path)})
    assert answer.returncode == 0
    assert answer.stderr == ""
    assert sum(event.get("failure") == "out of memory" for event in untimed(run_folder)) == 4


@pytest.mark.parametrize("key", ["expect", "network", "imports"])
def test_null_takes_away_what_holds_many(key: str, toy: Toy) -> None:
    given = {
        "expect": "expect: {fitness: {mean: 1, tolerance: 1}}\n",
        "network": "network: {}\n",
        "imports": "imports: [json]\n",
    }
    assert not getattr(load(toy(more=given[key]), [f"{key}=null"]), key)
