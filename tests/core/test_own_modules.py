"""Modules of one's own: spaces by their path, and two things of one name, of which none wins silently."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from nas.family import families, family
from nas.records import RecordError

Call = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[2]

SPACE = """\
from nas.family import Family
from nas.layers.conv import ConvNormAct
from nas.notation import notation
from nas.records import record
from nas.building import Node
from nas.space import one_of
from nas.topology.chain import Chain, Stage
from nas.topology.heads import Classifier
from nas.topology.network import Network, with_classes
from helping import WIDTH


@record
class Twice{name}(Node):
    inner: Node

    def build(self, site):
        return site.build(Chain((self.inner, self.inner)))

    def shape(self, site):
        return Chain((self.inner, self.inner)).shape(site)


def tiny(widths: tuple[int, ...] = (2, 4)) -> Network:
    body = Twice{name}(ConvNormAct(one_of("kernel", (1, 3))))
    return Network(ConvNormAct(3, WIDTH), (Stage(body, 1, one_of("width", widths)),), Classifier(10))


PUBLISHED = {{"small": Network(ConvNormAct(3, WIDTH), (Stage(Twice{name}(ConvNormAct(3)), 1, 4),), Classifier(10))}}
family = Family("mine", tiny, with_classes, notation, PUBLISHED, input=(1, 8, 8))
"""
EXPERIMENT = """\
space: SPACE
strategy: RandomSearch
evaluator: {Training: {data: Digits, recipe: {epochs: 1, augmentation: {crop_pad: 1}, batch: 16}, images: 32, validation: 0.5}}
rules: {budget: {evaluations: 2}, objective: validation_top1_percent}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_records: None) -> Path:
    """Return a working directory of one's own with a space in it, `resnet.py`, and a module that it imports."""
    (tmp_path / "helping.py").write_text("WIDTH = 3\n", encoding="utf-8")
    (tmp_path / "resnet.py").write_text(SPACE.format(name="Resnet"), encoding="utf-8")
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "helping", raising=False)
    return tmp_path


@pytest.mark.slow
def test_a_space_of_ones_own_is_named_by_its_path_wherever_a_space_is_named(here: Path, nas: Call) -> None:
    (here / "search.yaml").write_text(EXPERIMENT.replace("SPACE", "./resnet.py"), encoding="utf-8")
    done = nas("search", "search.yaml", "--run-dir", "run", "--workers", "1", cwd=here)
    assert done.returncode == 0, done.stderr
    elsewhere = here / "elsewhere"
    elsewhere.mkdir()
    for form in (here / "run", f"{here / 'run'}#1", here / "run" / "best.json", f"{here / 'resnet.py'}:small"):
        answer = nas("show", form, cwd=elsewhere)
        assert answer.returncode == 0, answer.stderr
        assert "twice_resnet" in answer.stdout
    assert nas("profile", "./resnet.py:small", "classes=3", cwd=here).returncode == 0
    assert nas("export", "./resnet.py:small", "--to", "json,notation", cwd=here).returncode == 0
    assert nas("show", "small.json", cwd=here).returncode == 0
    options = EXPERIMENT.replace("SPACE", "{./resnet.py: {widths: [8]}}")
    (here / "options.yaml").write_text(options, encoding="utf-8")
    assert "8" in nas("search", "options.yaml", "--run-dir", "other", cwd=here).stdout


def test_a_space_of_ones_own_is_searched_and_found_from_elsewhere(
    here: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    (here / "search.yaml").write_text(EXPERIMENT.replace("SPACE", "./resnet.py"), encoding="utf-8")
    assert call("search", "search.yaml", "--run-dir", "run").returncode == 0
    assert "twice_resnet" in call("show", "./resnet.py:small").stdout
    monkeypatch.chdir(here.parent)
    for form in (here / "run", f"{here / 'run'}#1", here / "run" / "best.json"):
        assert "twice_resnet" in call("show", form).stdout
    assert call("resume", here / "run", "rules.budget.evaluations=3").returncode == 0


def test_what_workers_are_sent_of_a_space_of_ones_own_is_found_in_their_process(here: Path) -> None:
    sent = here / "sent"
    sent.write_bytes(
        cloudpickle.dumps((family(str(here / "resnet.py")).space, family(str(here / "resnet.py")).space()))
    )
    code = f"import pickle; make, space = pickle.load(open({str(sent)!r}, 'rb')); print(make() == space)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout == "True\n", done.stderr


def test_a_space_that_is_not_there_or_is_none_is_one_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    (here / "empty.py").write_text("", encoding="utf-8")
    (here / "broken.py").write_text("import nothing_like_this\n", encoding="utf-8")
    (here / "wrong.py").write_text("def (", encoding="utf-8")
    (here / "other.py").write_text("family = 3\n", encoding="utf-8")
    for name, said in {
        "./missing.py": "there is no file ./missing.py",
        "./empty.py": "module ./empty.py has no `family`",
        "./broken.py": "module ./broken.py cannot be imported (No module named 'nothing_like_this'): fix it",
        "./wrong.py": "module ./wrong.py cannot be imported (invalid syntax",
        "./other.py": "`family` of module ./other.py is 3: give a nas.family.Family",
        "": "there is no space ''",
        "..": "there is no space '..'",
        "a b": "there is no space 'a b'",
        "missing": "there is no space 'missing'",
    }.items():
        with pytest.raises(RecordError) as caught:
            family(name)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_space_of_the_librarys_name_is_told_apart(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    with pytest.raises(RecordError) as caught:
        family("resnet")
    assert str(here / "resnet.py") in str(caught.value)
    assert str(Path("search_spaces", "resnet.py")) in str(caught.value)
    assert "give search_spaces.resnet or, for yours, its path, as ./resnet.py" in str(caught.value)
    assert "resnet18" in family("search_spaces.resnet").published
    assert set(family("./resnet.py").published) == {"small"}
    assert family(str(here / "resnet.py")) is family("./resnet.py")
    (here / "darts.py").write_text("print('a script of its own, no space')\n", encoding="utf-8")
    assert "DARTS_V2" in family("darts").published


@pytest.mark.slow
def test_a_folder_that_hides_all_spaces_of_the_library_is_named(here: Path, nas: Call) -> None:
    (here / "search_spaces").mkdir()
    (here / "search_spaces" / "__init__.py").write_text("", encoding="utf-8")
    answer = nas("profile", "darts:DARTS_V2", cwd=here)
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1), answer.stderr
    assert f"search_spaces is {here / 'search_spaces' / '__init__.py'}, which hides the library's, " in answer.stderr
    (here / "search_spaces" / "__init__.py").unlink()
    (here / "search_spaces" / "mine.py").write_text(SPACE.format(name="Mine"), encoding="utf-8")
    answer = nas("profile", "./search_spaces/mine.py:small", cwd=here, env={"PYTHONPATH": _path(here)})
    assert answer.returncode == 0, answer.stderr


def _path(folder: Path) -> str:
    import os

    return os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(folder)])


@pytest.mark.parametrize("module", ["json", "time", "nas.records", "yaml"])
def test_a_module_of_ones_own_with_the_name_of_another_is_not_passed_over(
    module: str, here: Path, toy: Call, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = here.joinpath(*module.split(".")).with_suffix(".py")
    path.parent.mkdir(exist_ok=True)
    path.write_text("", encoding="utf-8")
    file = toy(more=f"imports: [{module}]\n")
    monkeypatch.chdir(here)
    answer = call("search", file)
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert f"which hides {path}: give yours by its path, ./{module.replace('.', '/')}.py" in answer.stderr


def test_a_module_is_imported_by_its_path_and_found_from_elsewhere(
    here: Path, toy: Call, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "mine.py").write_text(
        "from nas.records import record\nfrom nas.strategies.random_search import RandomSearch\nLOADED = 1\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(here)
    file = toy(more="imports: [./mine.py]\n")
    assert call("search", file, "--run-dir", here / "run").returncode == 0
    monkeypatch.chdir(here.parent)
    assert call("resume", here / "run", "rules.budget.evaluations=13").returncode == 0
    assert str(here / "mine.py") in (here / "run" / "experiment.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("imports", ['[""]', "[..]", "[./missing.py]", "[a-b]", "[missing]", "[3]"])
def test_an_import_of_nothing_is_one_line(imports: str, toy: Call, call: Call) -> None:
    answer = call("search", toy(more=f"imports: {imports}\n"))
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert "imports" in answer.stderr or "line" in answer.stderr


def test_two_records_of_one_name_are_one_line_with_both_files(here: Path, toy: Call, call: Call) -> None:
    text = "from nas.records import record\n\n\n@record\nclass RecordOfTwoFiles:\n    size: int = 1\n"
    for name in ("first.py", "second.py"):
        (here / name).write_text(text, encoding="utf-8")
    answer = call("search", toy(more=f"imports: [{here / 'first.py'}, {here / 'second.py'}]\n"))
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert "two records are named RecordOfTwoFiles: " in answer.stderr
    assert str(here / "first.py") in answer.stderr
    assert str(here / "second.py") in answer.stderr


def test_a_recipe_of_the_librarys_name_is_told_apart(here: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "darts_cifar.yaml").write_text("data: Digits\n", encoding="utf-8")
    monkeypatch.chdir(here)
    answer = call("train", "darts:DARTS_V2", "--recipe", "darts_cifar")
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert "'darts_cifar' could be two files: darts_cifar.yaml here, or" in answer.stderr


def test_a_folder_with_the_name_of_a_data_set_is_told_apart(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.runs.transfer import data_named

    monkeypatch.chdir(here)
    (here / "Digits").mkdir()
    with pytest.raises(RecordError, match=r"Digits is a folder here and a data set of the library: say ./Digits"):
        data_named("Digits")
    assert type(data_named("./Digits")).__name__ == "ImageFolder"


def test_every_family_of_the_library_is_found_by_its_name() -> None:
    assert all(family(name) is each for name, each in families().items())
