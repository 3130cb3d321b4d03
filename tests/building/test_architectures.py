"""Whatever is printed or written as an architecture is read as one: by every family, and by every command."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

from nas.cli import app
from nas.family import Family, OtherForm, families
from nas.journal import read_journal
from nas.notation import parse
from nas.records import RecordError, digest
from nas.report.summary.summarise import summarise
from nas.runs.architecture import find_architecture, find_tree
from nas.runs.experiment import load
from nas.runs.run import create_folder, plan, run
from nas.runtime.view import Silent
from nas.space import count, sample
from search_spaces import darts, nasbench201

Call = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("one_thread")

FAMILIES = families()
OWN_FORM = [name for name, each in FAMILIES.items() if each.parse is not parse]
"""The families whose text is not our own notation."""


def members(name: str, samples: int = 4) -> list[Any]:
    known, rng = FAMILIES[name], Random(1)
    space = known.space()
    return [*(sample(space, rng) for _ in range(samples)), *known.published.values()]


@cache
def texts(name: str) -> list[str]:
    return [FAMILIES[name].describe(each) for each in members(name)]


# ------------------------------------------------------------------------------------------------------ families


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_reads_what_it_writes(name: str) -> None:
    known = FAMILIES[name]
    for member in members(name):
        for write in (known.describe, known.usual):
            if write is not None:
                assert known.parse(write(member)) == member
                assert digest(known.parse(f"  {write(member)}\n")) == digest(member)


@pytest.mark.parametrize("name", OWN_FORM)
def test_a_family_leaves_the_texts_of_others_to_them(name: str) -> None:
    for other in FAMILIES.keys() - {name}:
        for text in texts(other):
            with pytest.raises(OtherForm):
                FAMILIES[name].parse(text)


@pytest.mark.parametrize("name", OWN_FORM)
def test_what_is_printed_of_a_member_is_found_without_its_family(name: str) -> None:
    for text, member in zip(texts(name), members(name), strict=True):
        found = find_architecture(text)
        assert (found.family, found.architecture) == (name, member)
        assert find_architecture(f"{name}:{text}") == found


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_reads_no_text_of_something_else(name: str) -> None:
    for text in ("", "normal: (", "|a~0|", "Genotype(", "hello world", "[", "\0", "normal: (skip~0"):
        with pytest.raises(RecordError):
            FAMILIES[name].parse(text)


def test_a_cell_with_an_operation_of_no_name_is_written_in_notation_and_read_back() -> None:
    text = darts.describe(darts.PUBLISHED["DARTS_V2"]).replace("sep_conv_3x3~0", "sep_conv9(repeats=1)~0", 1)
    cells = find_architecture(text).architecture
    assert darts.describe(cells) == text
    with pytest.raises(
        RecordError, match="normal cannot be a genotype: give each node two edges, with operations none, max"
    ):
        darts.genotype_text(cells)


# ---------------------------------------------------------------------------- every form, read by every command

EXPERIMENT = """\
space: SPACE
strategy: RandomSearch
evaluator: {Training: {data: Digits, recipe: {epochs: 1, augmentation: {crop_pad: 1}, batch: 16}, images: 32, validation: 0.5}}
network: NETWORK
rules: {budget: {evaluations: 2}, objective: validation_top1_percent}
"""
SPACES = {
    "darts": "{channels: 2, layers: 1}",
    "nasbench201": "{channels: 2, cells_per_stage: 1}",
    "activation": "{channels: 2, depth: 1}",
}
"""A space of each form of text, and how it is stacked here."""


def searched(folder: Path, space: str, network: str) -> Path:
    file = folder / "experiment.yaml"
    file.write_text(EXPERIMENT.replace("SPACE", space).replace("NETWORK", network), encoding="utf-8")
    planned = plan(load(file))
    create_folder(folder / "run", planned)
    run(planned, folder / "run", lambda stage: Silent())
    return folder / "run"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folder of a search in each space."""
    return {name: searched(tmp_path_factory.mktemp(name), name, stack) for name, stack in SPACES.items()}


def forms(folder: Path, call: Call, out: Path) -> dict[str, str]:
    """Return everything that the commands print or write of the best of a search, as ARCH; files are named by path."""
    best = json.loads((folder / "best.json").read_text(encoding="utf-8"))["StackedNetwork"]
    (event,) = [
        event
        for _, event in read_journal(folder / "history.jsonl")
        if event.get("architecture") == best["architecture"]
    ][:1]
    reported = summarise(folder).best
    assert reported is not None
    printed = call("show", folder).stdout.splitlines()
    text = printed[next(i for i, line in enumerate(printed) if line.startswith("Best of the search")) + 1]
    assert call("export", folder, "--to", "json,yaml,notation", "--out", out).returncode == 0
    files = {path.suffix: str(path) for path in out.iterdir()}
    assert set(files) == {".json", ".yaml", ".txt"}
    written = {
        "journal_line.json": json.dumps(event),
        "journal_value.json": json.dumps(event["architecture"]),
        "printed.txt": "".join(part + "\n" for part in printed[printed.index(text) :] if part.startswith((text, "  "))),
    }
    for name, content in written.items():
        (out / name).write_text(content, encoding="utf-8")
        files[name] = str(out / name)
    return {
        **files,
        "run folder": str(folder),
        "RUN#17": f"{folder}#{event['number']}",
        "best.json": str(folder / "best.json"),
        "copied from the report": reported.text,
        "copied with a break at its end": f"{reported.text}\n",
        "typed journal value": json.dumps(event["architecture"]),
        "typed journal line": json.dumps(event),
        "typed notation file": Path(files[".txt"]).read_text(encoding="utf-8"),
    }


@pytest.mark.parametrize("space", SPACES)
def test_every_form_of_an_architecture_is_the_same_one(
    space: str, runs: dict[str, Path], call: Call, tmp_path: Path
) -> None:
    best = find_architecture(str(runs[space])).architecture
    for name, form in forms(runs[space], call, tmp_path / "out").items():
        assert find_architecture(form).architecture == best, name


@pytest.mark.slow
def test_every_form_is_read_by_every_command(runs: dict[str, Path], call: Call, tmp_path: Path) -> None:
    small, best = ("channels=2", "cells_per_stage=1"), find_architecture(str(runs["nasbench201"])).architecture
    for i, (name, form) in enumerate(forms(runs["nasbench201"], call, tmp_path / "out").items()):
        read = {
            "show": call("show", form),
            "profile": call("profile", form, *small, "--against", form, "--json"),
            "latency": call("latency", form, *small, "--runs", "1"),
            "export": call("export", form, "--to", "json,notation", "--out", tmp_path / str(i)),
        }
        assert {command: answer.returncode for command, answer in read.items()} == dict.fromkeys(read, 0), (name, read)
        assert nasbench201.to_string(best) in read["show"].stdout, name
        for file in (tmp_path / str(i)).iterdir():
            assert find_architecture(str(file)).architecture == best, (name, file)


def test_the_commands_that_read_an_architecture_are_those() -> None:
    """A new command with an ARCH is tested above, too."""
    named = {}
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        helped = [str(each) for each in getattr(command.callback, "__annotations__", {}).values()]
        named[name] = any("ArchitectureName" in each or "RUN|ARCH" in each or each == "What" for each in helped)
    assert {name for name, has in named.items() if has} == {"show", "profile", "latency", "export", "train"}


@pytest.mark.slow
def test_a_printed_cell_is_trained(runs: dict[str, Path], call: Call, tmp_path: Path) -> None:
    settings = (
        "data=Digits network.channels=2 network.cells_per_stage=1 recipe.epochs=1 recipe.augmentation.crop_pad=1 "
        "recipe.augmentation.flip=false"
    )
    text = nasbench201.to_string(find_architecture(str(runs["nasbench201"])).architecture)
    small = (*settings.split(), "images=32", "recipe.batch=16")
    answer = call("train", text, "--recipe", "nasbench201", *small, "--run-dir", tmp_path / "run")
    assert answer.returncode == 0, answer
    for form in (tmp_path / "run", f"{tmp_path / 'run'}#0", tmp_path / "run" / "best.safetensors"):
        assert text in call("show", form).stdout or "Weights: " in call("show", form).stdout
        assert find_architecture(str(form)).architecture == find_architecture(text).architecture
    assert call("test", f"{tmp_path / 'run'}#0").returncode == 0


# ----------------------------------------------------------------------------------------------------- numbers


def test_an_evaluation_that_is_not_there_is_one_line(runs: dict[str, Path], call: Call, tmp_path: Path) -> None:
    folder = runs["darts"]
    (tmp_path / "other").mkdir()
    for name, said in {
        f"{folder}#2": "has no evaluation 2: give one from 0 to 1",
        f"{tmp_path / 'other'}#0": "is no run folder with evaluations",
        f"{folder}#": "there is no architecture",
        f"{folder}#x": "there is no architecture",
        f"{folder}#-1": "there is no architecture",
        str(folder / "history.jsonl"): f"is the journal of a run: give one of its evaluations, as {folder}#0",
    }.items():
        answer = call("profile", name)
        assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
        assert said in answer.stderr
    answer = call("test", f"{folder}#0")
    assert answer.stderr == f"nas: {folder}#0 has no weights: a search keeps those of its best, {folder}\n"


def test_an_evaluation_has_the_scores_of_its_search_and_is_stacked_alike(runs: dict[str, Path]) -> None:
    found = find_architecture(f"{runs['darts']}#1")
    assert found.options["channels"] == 2
    assert found.input == (1, 8, 8)
    network = found.tree()
    from nas.profiling import profile

    assert profile(network, found.input).params == found.scores["params"]


# ------------------------------------------------------------------------------------------------------ spaces


@pytest.mark.parametrize(
    ("name", "kind"),
    [("darts", "json"), ("darts", "notation"), ("nasbench201", "yaml"), ("mobile", "notation"), ("mobile", "json")],
)
def test_an_exported_space_is_shown_and_searched(name: str, kind: str, call: Call, tmp_path: Path) -> None:
    assert call("export", name, "--to", kind, "--out", tmp_path).returncode == 0
    (file,) = tmp_path.iterdir()
    known: Family = FAMILIES[name]
    assert find_tree(str(file)).family == (name if name != "mobile" or kind != "notation" else "macro")
    assert f"{count(known.space()):,} architectures" in call("show", file).stdout
    refused = call("profile", file)
    assert refused.returncode == 2
    assert "open choices: search it (space: in an experiment)" in refused.stderr
    experiment = tmp_path / "search.yaml"
    experiment.write_text(
        EXPERIMENT.replace("SPACE", str(file)).replace("NETWORK", "{}").replace("{Training:", "{NoisyBits: {}} #"),
        encoding="utf-8",
    )
    loaded = load(experiment)
    assert digest(loaded.open_space()) == digest(known.space())
    file.unlink()
    assert digest(loaded.open_space()) == digest(known.space())


def test_a_search_of_an_exported_space_goes_on_without_the_file(call: Call, toy: Call, tmp_path: Path) -> None:
    call("export", "bits", "--to", "yaml", "--out", tmp_path / "strings.yaml")
    toy_file = toy(("space: bits", f"space: {tmp_path / 'strings.yaml'}"))
    assert call("search", toy_file, "--run-dir", tmp_path / "run").returncode == 0
    (tmp_path / "strings.yaml").unlink()
    assert call("resume", tmp_path / "run", "rules.budget.evaluations=14").returncode == 0
    assert find_architecture(f"{tmp_path / 'run'}#13").family == "bits"


def test_a_bare_tree_of_an_older_export_is_a_space(tmp_path: Path) -> None:
    from nas.plain import write

    (tmp_path / "old.json").write_text(write(darts.darts()), encoding="utf-8")
    assert find_tree(str(tmp_path / "old.json")).family == "darts"


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ("missing.json", "there is no file 'missing.json'"),
        ("./nowhere/space.yaml", "there is no file './nowhere/space.yaml'"),
        ('"conv3-64 x2"', "there is no file"),
        ('"[conv3 conv5]"', "is one architecture of macro, and no choice in it is open"),
        ("{macro: {tree: '[conv3 conv5]'}}", "has no open choice"),
        ("{macro: {tree: '{k: conv3 |'}}", "space.macro.tree: column"),
        ("{macro: {tree: '{k: conv3 | conv5}', stages: 2}}", "leave the other options out"),
        ("{macro: {tree: 3}}", "is a whole space in notation"),
        ("nasbench20", "did you mean 'nasbench201'?"),
        ('""', "there is no space ''"),
        ('".."', "there is no space '..'"),
    ],
)
def test_a_wrong_space_is_one_line_with_its_place(space: str, said: str, call: Call, toy: Call) -> None:
    answer = call("search", toy(("space: bits", f"space: {space}")))
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert "line 2" in answer.stderr
    assert said in answer.stderr
