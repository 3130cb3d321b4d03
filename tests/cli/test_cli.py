"""The command line as a user meets it: help, lists, profiles, a search and what it leaves."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from journals import untimed

from nas.evaluation.noisy_bits import NoisyBits
from nas.family import families
from nas.plain import write
from nas.records import digest
from nas.runs.architecture import StackedNetwork, find_architecture
from nas.runs.experiment import load
from nas.strategies.evolution import RegularizedEvolution
from search_spaces import darts, nasbench201

Call = Callable[..., Any]
Toy = Callable[..., Path]

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("search", "resume", "show", "list", "profile", "reproduce")
SECTIONS = (
    "spaces",
    "networks",
    "strategies",
    "predictors",
    "encodings",
    "controllers",
    "methods",
    "evaluators",
    "proxies",
    "tables",
    "inspections",
    "data",
    "optimizers",
    "schedules",
    "losses",
    "initialisations",
    "unlabelled",
    "operations",
    "layers",
    "topology",
    "executors",
    "loggers",
    "experiments",
    "recipes",
)


# ----------------------------------------------------------------------------------------------------------- help


def test_help_lists_the_commands_and_gives_an_example(nas: Call) -> None:
    answer = nas("--help")
    assert answer.returncode == 0
    assert answer.stderr == ""
    said = [line.strip("│ ").split(" ")[0] for line in answer.stdout.splitlines()]
    assert [word for word in said if word in COMMANDS] == list(COMMANDS)
    assert "Begin with: nas search quickstart" in answer.stdout


def test_help_needs_no_heavy_library() -> None:
    code = (
        "import sys; sys.argv = ['nas', '--help']\n"
        "from nas.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'torch', 'ray', 'numpy', 'yaml'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str, call: Call) -> None:
    answer = call(command, "--help")
    assert answer.returncode == 0
    assert f" {command} [OPTIONS]" in answer.stdout


def test_no_command_shows_the_help(call: Call) -> None:
    answer = call()
    assert "Begin with: nas search quickstart" in answer.stdout + answer.stderr


def test_the_version_says_what_is_installed_and_where() -> None:
    for module in ("nas", "nas.cli"):
        command = [sys.executable, "-m", module, "--version"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        first, *rest = done.stdout.splitlines()
        assert first == f"cellstack {version('cellstack')} in {ROOT / 'nas'}"
        assert [line.split()[0] for line in rest] == ["python", "torch", "ray", "optuna"]
        assert rest[1] == f"torch {version('torch')}"


# ----------------------------------------------------------------------------------------------------------- list


def test_the_list_has_every_section(call: Call) -> None:
    lines = call("list").stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == list(SECTIONS)


def test_the_list_has_every_published_network(call: Call) -> None:
    listed = [line.split()[0] for line in call("list", "networks").stdout.splitlines()[1:]]
    assert listed == [f"{name}:{member}" for name, family in families().items() for member in family.published]
    assert {"darts:DARTS_V2", "nasnet:AmoebaNet_A", "nasbench201:resnet"} <= set(listed)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_entry_of_a_section_says_what_it_is(section: str, call: Call) -> None:
    title, *entries = call("list", section).stdout.splitlines()
    assert title == section
    assert entries
    assert all(len(entry.split()) >= 3 for entry in entries), entries


def test_every_experiment_is_listed_with_its_claim(call: Call) -> None:
    entries = call("list", "experiments").stdout.splitlines()[1:]
    files = set((ROOT / "experiments").rglob("*.yaml")) - set((ROOT / "experiments" / "recipes").iterdir())
    names = [path.relative_to(ROOT / "experiments").with_suffix("").as_posix() for path in sorted(files)]
    assert [entry.split()[0] for entry in entries] == names


@pytest.mark.parametrize("name", ["toy/ageing_evolution", "experiments/toy/ageing_evolution.yaml"])
def test_an_experiment_is_found_by_its_name_from_any_folder(
    name: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy").mkdir()
    for command in (("search", "--run-dir", "run"), ("reproduce",)):
        answer = call(command[0], name, "rules.budget.evaluations=20", *command[1:])
        assert "there is no" not in answer.stderr
    assert (tmp_path / "run" / "best.json").is_file()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("quickstrat", "there is no experiment 'quickstrat': give a YAML file, or a name: did you mean 'quickstart'?"),
        ("pc_darts", "did you mean 'cifar10/pc_darts'?"),
        ("nothing/alike", "known are cifar10/amoebanet, "),
        ("experiments/quickstat.yaml", "there is no file experiments/quickstat.yaml: did you mean 'quickstart'?"),
        ("mine", "there is no experiment 'mine': did you mean mine.yaml?"),
        ("quickstart", "could be two files: quickstart.yaml here, or "),
    ],
)
def test_a_name_that_is_no_experiment_or_two_is_one_line(
    name: str, said: str, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for own in ("mine", "quickstart"):
        (tmp_path / f"{own}.yaml").write_text("space: bits\n")
    for command in ("search", "reproduce"):
        answer = call(command, name)
        assert (answer.returncode, answer.stdout) == (2, "")
        assert answer.stderr.startswith("nas: ")
        assert answer.stderr.count("\n") == 1
        assert said in answer.stderr


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="pipes of a shell")
def test_a_list_that_is_cut_off_by_a_pipe_gives_no_traceback() -> None:
    command = f"{shlex.quote(sys.executable)} -m nas.cli list | head -1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout == "spaces\n"
    assert done.stderr == ""


# -------------------------------------------------------------------------------------------------------- profile


@pytest.fixture
def profiled(call: Call) -> Callable[..., dict[str, Any]]:
    """Return a function that gives what `nas profile ... --json` prints."""

    def run(*arguments: Any) -> dict[str, Any]:
        answer = call("profile", *arguments, "--json")
        assert answer.returncode == 0
        assert answer.stderr == ""
        costs: dict[str, Any] = json.loads(answer.stdout)
        return costs

    return run


def test_the_layers_of_a_profile_add_up_to_its_totals(profiled: Call) -> None:
    costs = profiled("darts:DARTS_V2")
    assert costs["params"] == sum(layer["params"] for layer in costs["layers"]) == 3_349_342
    assert costs["macs"] == sum(layer["macs"] for layer in costs["layers"]) == 528_359_040
    assert costs["activation_bytes"] == sum(layer["activation_bytes"] for layer in costs["layers"])


def test_a_profile_takes_options_of_the_network_and_the_input(profiled: Call) -> None:
    options = ("channels=48", "layers=14", "classes=1000", "stem=imagenet")
    costs = profiled("darts:DARTS_V2", *options, "--input", "3,224,224")
    assert (costs["params"], costs["macs"]) == (4_718_752, 529_911_552)


def test_an_input_may_be_written_with_crosses(profiled: Call) -> None:
    assert profiled("darts:DARTS_V2", "--input", "3x64x64") == profiled("darts:DARTS_V2", "--input", "3,64,64")


def test_the_printed_profile_has_a_row_for_each_layer_and_the_convention(call: Call, profiled: Call) -> None:
    answer, costs = call("profile", "nasbench201:resnet"), profiled("nasbench201:resnet")
    lines = answer.stdout.splitlines()
    rows = [line.split() for line in lines[1 : lines.index(f"{costs['params']:,} params  {costs['macs']:,} MACs")]]
    layers = [layer for layer in costs["layers"] if layer["kind"] != "Identity"]
    for row, layer in zip(rows, layers, strict=False):
        assert row[:2] == [layer["name"], layer["kind"]]
        assert row[3:5] == [f"{layer['params']:,}", f"{layer['macs']:,}"]
        assert row[6:] == [str(layer["receptive_field"][0]), str(layer["stride"][0])]
    assert len(rows) == len(layers)
    assert f"{costs['params']:,} params  {costs['macs']:,} MACs" in answer.stdout
    assert "multiply-adds of convolutions, linear layers and attention" in answer.stdout


def test_two_profiles_stand_side_by_side(call: Call) -> None:
    answer = call("profile", "nasbench201:resnet", "--against", "nasbench201:all_skip")
    assert answer.returncode == 0
    lines = [line.split() for line in answer.stdout.splitlines()]
    assert ["params", "559,386", "73,306", "0.13"] in lines
    assert any(line[:1] == line[4:5] == ["stem"] for line in lines)
    answer = call("profile", "nasbench201:resnet", "--against", "nasbench201:all_skip", "--json")
    costs = json.loads(answer.stdout)
    assert {name: each["params"] for name, each in costs.items()} == {
        "nasbench201:resnet": 559_386,
        "nasbench201:all_skip": 73_306,
    }


def test_a_tree_may_be_typed(call: Call) -> None:
    answer = call("profile", "residual[conv3-64 x2] x3", "--json")
    costs = json.loads(answer.stdout)
    assert costs["receptive_field"] == [13, 13]
    assert costs["depth"] == 6
    assert costs["weight_bytes"]["float32"] == 4 * costs["params"]
    answer = call("profile", "residual[conv3-64 x2")
    assert (answer.returncode, answer.stderr) == (2, "nas: column 21 of 'residual[conv3-64 x2' is the end: write ']'\n")
    answer = call("profile", "residual[conv3-64]", "channels=8")
    assert answer.returncode == 2
    assert "channels: no such key; known are classes" in answer.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("conv4-64", "does not keep the size: give odd kernels or a padding"),
        ('"["', "is no node: type one in notation"),
        (
            "[conv3 x99999999999]",
            "the network has 299,999,999,998 nodes, repeats included: at most 10,000 can be built",
        ),
        ("[conv3 x2 flurb]", "names no node, 'flurb': known are activation, "),
        ("resnet", "resnet is a space: give one of its networks, as resnet:resnet18"),
        ("", "there is no architecture ''"),
        ("vgg:vgg17", "vgg has no architecture 'vgg17': did you mean 'vgg1"),
    ],
)
def test_a_name_that_is_no_network_is_one_line(name: str, said: str, call: Call) -> None:
    answer = call("profile", name)
    assert answer.returncode == 2
    assert answer.stderr.startswith("nas: ")
    assert answer.stderr.count("\n") == 1
    assert said in answer.stderr


def test_a_network_that_does_not_fit_its_images_names_the_layer(call: Call) -> None:
    answer = call("profile", "vgg:vgg16", "--input", "3,16,16")
    assert answer.returncode == 2
    assert "layer 3 of the network, on a map of (512, 1, 1): " in answer.stderr


def test_what_is_printed_in_brackets_is_not_taken_for_markup(call: Call) -> None:
    answer = call("profile", "residual[conv3]", "--against", "[conv3 residual[conv3-8 x2] x3]")
    assert "residual[conv3]" in answer.stdout
    assert "[conv3 residual[conv3-8 x2] x3]" in answer.stdout
    assert "residual[conv3 conv3] x3-128" in " ".join(call("profile", "--help").stdout.split())


def test_show_prints_an_architecture_and_its_cost(call: Call) -> None:
    answer = call("show", "darts:DARTS_V2")
    assert answer.returncode == 0
    assert answer.stdout.startswith("normal: (sep_conv_3x3~0, sep_conv_3x3~1)")
    assert "3,349,342 params  528,359,040 MACs" in answer.stdout


# ---------------------------------------------------------------------------------------------- architecture files

FOUND = StackedNetwork("darts", darts.PUBLISHED["DARTS_V2"], {"channels": 8, "layers": 5, "classes": 3}, (1, 16, 16))


@pytest.fixture(params=["json", "yaml"])
def architecture_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"found.{request.param}"
    text = write(FOUND)
    path.write_text(text if request.param == "json" else yaml.safe_dump(json.loads(text)), encoding="utf-8")
    return path


def test_an_architecture_file_reads_back(architecture_file: Path) -> None:
    assert find_architecture(str(architecture_file)) == FOUND


def test_an_architecture_file_is_profiled_as_it_was_stacked(architecture_file: Path, profiled: Call) -> None:
    costs = profiled(architecture_file)
    assert costs["layers"][-1]["output"] == [3]
    assert costs == profiled("darts:DARTS_V2", "channels=8", "layers=5", "classes=3", "--input", "1,16,16")


def test_options_change_how_an_architecture_file_is_stacked(architecture_file: Path, profiled: Call) -> None:
    wider = profiled(architecture_file, "channels=16", "--input", "3,32,32")
    assert wider["params"] > profiled(architecture_file)["params"]
    assert wider["layers"][-1]["output"] == [3]


# --------------------------------------------------------------------------------------------------------- search


def resolved(run_folder: Path) -> dict[str, Any]:
    plain: dict[str, Any] = yaml.safe_load((run_folder / "experiment.yaml").read_text(encoding="utf-8"))
    return plain


def test_assignments_reach_through_class_names(toy: Toy, call: Call, run_folder: Path) -> None:
    changes = ("strategy.population=3", "evaluator.NoisyBits.noise=0.5", "rules.budget.evaluations=5", "--seed", "7")
    assert call("search", toy(), *changes, "--run-dir", run_folder).returncode == 0
    ran = load(run_folder / "experiment.yaml")
    assert ran.strategy == RegularizedEvolution(population=3, sample=2)
    assert ran.evaluator == NoisyBits(noise=0.5)
    assert (ran.rules.budget.evaluations, ran.rules.seed) == (5, 7)
    assert len(untimed(run_folder)) == 1 + 2 * 5


def test_an_assignment_can_exchange_a_whole_part(toy: Toy, call: Call, run_folder: Path) -> None:
    assert call("search", toy(), "strategy=RandomSearch", "--run-dir", run_folder).returncode == 0
    assert list(resolved(run_folder)["strategy"]) == ["RandomSearch"]
    assert {event["origin"] for event in untimed(run_folder) if event.get("event") == "start"} == {"random"}


def test_the_executor_is_chosen_on_the_command_line(toy: Toy, call: Call, run_folder: Path) -> None:
    path = toy(more="executor: {RayTune: {workers: 2}}\n")
    assert call("search", path, "--executor", "inline", "--run-dir", run_folder).returncode == 0
    assert list(resolved(run_folder)["executor"]) == ["Inline"]
    assert {event["worker"] for event in untimed(run_folder) if event.get("event") == "finish"} == {"inline"}


def test_another_seed_finds_something_else(toy: Toy, call: Call, run_folder: Path) -> None:
    folders = [run_folder.with_name(f"run{seed}") for seed in (1, 2)]
    for seed, folder in enumerate(folders, 1):
        call("search", toy(), "--seed", seed, "--run-dir", folder)
    first, second = map(untimed, folders)
    assert first[1]["digest"] != second[1]["digest"]


# ------------------------------------------------------------------------ a search on the table, from end to end

EVOLUTION = "experiments/nasbench201/regularized_evolution.yaml"


@pytest.fixture(scope="module")
def evolved(nas: Call, shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Return the folder and the output of a search in a process of its own."""
    folder = tmp_path_factory.mktemp("table") / "run"
    changes = ("rules.budget={evaluations: 60}", "--executor", "inline", "--run-dir", folder)
    return folder, nas("search", EVOLUTION, *changes, env={"NAS_DATA": str(shared_data)})


@pytest.fixture
def with_data(call: Call, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return `call` with the real data in NAS_DATA."""
    monkeypatch.setenv("NAS_DATA", str(shared_data))
    return call


def test_a_search_says_what_it_found_and_where(evolved: tuple[Path, Any]) -> None:
    folder, answer = evolved
    assert answer.returncode == 0
    assert answer.stderr == ""
    assert f"Run folder: {folder}  (nas show {folder}, nas report {folder})" in answer.stdout
    assert "Best of the search: #" in answer.stdout
    assert "cifar10_test_top1_percent" in answer.stdout
    assert "search 60 / 60" in answer.stdout


def test_a_run_folder_holds_what_was_found(evolved: tuple[Path, Any]) -> None:
    folder, _ = evolved
    names = {path.name for path in folder.iterdir()}
    files = {"best.json", "best.svg", "data.json", "experiment.yaml", "final.jsonl", "history.jsonl"}
    assert names == {"checkpoints", *files}
    finished = [event for event in untimed(folder) if event.get("event") == "finish"]
    best = max(finished, key=lambda event: event["scores"]["validation_top1_percent"])
    found = find_architecture(str(folder))
    assert found.scores == best["scores"]
    assert digest(found.architecture) == untimed(folder)[1 + 2 * best["number"]]["digest"]


def test_the_picture_of_the_best_is_well_formed(evolved: tuple[Path, Any]) -> None:
    folder, _ = evolved
    picture = ElementTree.parse(folder / "best.svg").getroot()
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    words = {element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {"in", "out", "cell"} <= words


def test_the_resolved_experiment_says_how_it_was_run(evolved: tuple[Path, Any]) -> None:
    folder, _ = evolved
    text = (folder / "experiment.yaml").read_text(encoding="utf-8")
    for said in ("# command: ", "# started: ", "# versions: python ", "cellstack ", "torch ", "# hardware: "):
        assert said in text
    assert load(folder / "experiment.yaml").rules.budget.evaluations == 60


def test_the_resolved_experiment_can_be_searched_again(
    evolved: tuple[Path, Any], with_data: Call, run_folder: Path
) -> None:
    folder, _ = evolved
    assert with_data("search", folder / "experiment.yaml", "--run-dir", run_folder).returncode == 0
    assert untimed(run_folder) == untimed(folder)
    assert untimed(run_folder, "final") == untimed(folder, "final")
    assert load(run_folder / "experiment.yaml") == load(folder / "experiment.yaml")


def test_a_run_is_shown(evolved: tuple[Path, Any], with_data: Call) -> None:
    folder, _ = evolved
    answer = with_data("show", folder)
    assert answer.returncode == 0
    assert f"{folder}: 60 evaluated, 0 in flight, 0 failed" in answer.stdout
    assert nasbench201.to_string(find_architecture(str(folder)).architecture) in answer.stdout
    assert "imagenet16_120_test_top1_percent" in answer.stdout


def test_a_finished_run_is_resumed_to_the_same(evolved: tuple[Path, Any], with_data: Call) -> None:
    folder, _ = evolved
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    answer = with_data("resume", folder)
    assert answer.returncode == 0
    assert "Best of the search: #" in answer.stdout
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_the_best_of_a_run_is_an_architecture(evolved: tuple[Path, Any], profiled: Call) -> None:
    folder, _ = evolved
    network = nasbench201.to_string(find_architecture(str(folder)).architecture)
    assert profiled(folder)["params"] > 0
    assert network.count("|") == 9


def test_a_run_names_no_file_that_is_not_there(toy: Toy, call: Call, run_folder: Path) -> None:
    answer = call("search", toy(), "--run-dir", run_folder)
    assert (str(run_folder / "best.svg") in answer.stdout) == (run_folder / "best.svg").is_file()


def test_a_run_that_only_began_is_shown(toy: Toy, call: Call, run_folder: Path) -> None:
    call("search", toy(), "--run-dir", run_folder)
    (run_folder / "history.jsonl").write_text('{"cellstack": 1}\n', encoding="utf-8")
    (run_folder / "best.json").unlink()
    answer = call("show", run_folder)
    assert answer.returncode == 0
    assert f"{run_folder}: stopped, nothing was evaluated yet" in answer.stdout
