"""Exporting: every format of what a real training left, read back here by other means, and what cannot be exported."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from shutil import copytree
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from nas.building import Node, Shape, Site
from nas.cli.exporting import export
from nas.data import Augmentation, Digits
from nas.evaluation.trained_network import TrainedNetwork
from nas.export.compare import LIMIT
from nas.export.exporting import export as export_all
from nas.export.format import Format, formats, formats_named
from nas.export.subject import Built, ExportRequest, Subject, find_subject
from nas.notation import parse
from nas.records import RecordError, digest, record
from nas.runs.architecture import StackedNetwork, find_architecture, find_checkpoint, read_found
from nas.runs.full_training import FullTraining, create_training, plan_training, run_training
from nas.runtime.view import Silent
from nas.training import Recipe
from search_spaces import darts, nasbench201

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = "network(stem=conv3-4, head=classifier(classes=10, norm=true))[residual[conv3 conv3] x1-8/2]"
NAMES = sorted(name for name, each in formats().items() if all(map(find_spec, each.packages)))
"""The formats whose packages are installed."""

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run folder of a short training on scans of digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits-1"
    recipe = Recipe(epochs=1, batch=32, drop_path=0.0, augmentation=Augmentation(crop_pad=1))
    declared = FullTraining(Digits(), recipe, images=96)
    planned = plan_training(declared, StackedNetwork("macro", parse(SMALL)))
    create_training(folder, planned)
    assert run_training(planned, folder, lambda *_: Silent()).failure is None
    return folder


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the training in every format."""
    out = tmp_path_factory.mktemp("exported")
    export(str(trained), to=",".join(NAMES), out=out)
    return out


def network_of(run: Path) -> nn.Module:
    """Build the network and read its weights, without what exports."""
    found, weights = find_checkpoint(str(run))
    return TrainedNetwork(found, weights).model().eval()


def images(batch: int, shape: Shape = (1, 8, 8)) -> Tensor:
    return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(7))


def difference(run: Callable[[Tensor], Any], model: nn.Module, batch: int) -> float:
    with torch.no_grad():
        return float((torch.as_tensor(run(images(batch))) - model(images(batch))).abs().max())


# -------------------------------------------------------------------------------------------------- every format


@pytest.mark.parametrize("name", NAMES)
def test_a_format_leaves_its_file_and_says_what_it_is(name: str, exported: Path) -> None:
    each = formats()[name]
    assert (exported / f"digits_1{each.suffix}").stat().st_size > 0
    assert each.__doc__
    assert each.needs in ("tree", "network", "weights")


@pytest.mark.parametrize("name", NAMES)
def test_a_format_finds_that_its_file_is_damaged(name: str, exported: Path, trained: Path, tmp_path: Path) -> None:
    if name == "dot" and not _has_graphviz():
        pytest.skip("graphviz is not installed: apt install graphviz")
    subject, each = find_subject(ExportRequest(str(trained))), formats()[name]
    for file in exported.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / f"digits_1{each.suffix}"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(Exception):  # noqa: B017, PT011, each reader has its own
        assert (each.check(subject, subject.built(), path) or 0.0) <= LIMIT


def _has_graphviz() -> bool:
    return subprocess.run(["which", "dot"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", [name for name in NAMES if formats()[name].needs == "weights" and name != "int8"])
def test_a_format_finds_that_it_computes_something_else(name: str, exported: Path, trained: Path) -> None:
    subject, each = find_subject(ExportRequest(str(trained))), formats()[name]
    other = subject.model()
    nn.init.constant_(list(other.parameters())[-1], 0.5)  # the bias of the last layer
    found = each.check(subject, replace(subject.built(), model=other), exported / f"digits_1{each.suffix}")
    assert found is not None
    assert found > LIMIT


def test_no_two_formats_have_one_suffix() -> None:
    assert len({each.suffix for each in formats().values()}) == len(formats())


# ------------------------------------------------------------------------------------- what the files are worth


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_onnxruntime_computes_what_the_network_does(batch: int, exported: Path, trained: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(exported / "digits_1.onnx")
    assert difference(lambda x: session.run(None, {"images": x.numpy()})[0], network_of(trained), batch) < LIMIT


def test_the_program_of_torch_export_computes_what_the_network_does(exported: Path, trained: Path) -> None:
    program = torch.export.load(exported / "digits_1.pt2").module()
    assert difference(program, network_of(trained), 5) < LIMIT


@pytest.mark.skipif("executorch" not in NAMES, reason="ExecuTorch is not installed: pip install executorch")
def test_the_program_of_executorch_computes_what_the_network_does(exported: Path, trained: Path) -> None:
    runtime = import_module("executorch.runtime").Runtime.get()
    method = runtime.load_program(exported / "digits_1.pte").load_method("forward")
    assert difference(lambda x: method.execute([x])[0], network_of(trained), 1) < LIMIT
    used = json.loads((exported / "digits_1.pte.json").read_text())["Deployment"]
    assert (used["input"], used["output"]) == ([1, 8, 8], "logits")


@pytest.mark.skipif("executorch" not in NAMES, reason="ExecuTorch is not installed: pip install executorch")
def test_an_operation_without_a_kernel_is_named(tmp_path: Path) -> None:
    clip = ExportRequest(
        "network(stem=conv3-8, head=classifier(classes=3))[space_time_pool3(frames=4)]", input=(4, 8, 8), untrained=True
    )
    with pytest.raises(RecordError, match=r"no kernel for aten::max_pool3d_with_indices.out: leave that operation out"):
        export_all(clip, formats_named("executorch"), tmp_path, False, False, print)


def test_the_weights_are_a_checkpoint_and_the_json_and_yaml_an_architecture(exported: Path, trained: Path) -> None:
    of_run = find_checkpoint(str(trained))[0]
    found, weights = find_checkpoint(str(exported / "digits_1.safetensors"))
    model = TrainedNetwork(found, weights).model().eval()
    assert difference(model, network_of(trained), 2) == 0
    assert {digest(find_architecture(str(exported / f"digits_1.{kind}"))) for kind in ("json", "yaml")} == {
        digest(of_run)
    }


def test_the_genotype_is_the_one_of_the_repository(tmp_path: Path) -> None:
    Genotype = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")
    export("darts:DARTS_V2", to="notation", out=tmp_path)
    genotype = eval((tmp_path / "darts_v2.txt").read_text(), {"Genotype": Genotype})  # noqa: S307, as people do with it
    assert genotype.normal[-1] == ("dil_conv_3x3", 2)
    assert digest(darts.from_genotype(genotype._asdict())) == digest(darts.PUBLISHED["DARTS_V2"])


def test_our_own_notation_is_read_back(exported: Path) -> None:
    assert digest(parse((exported / "digits_1.txt").read_text())) == digest(parse(SMALL))


def test_a_cell_of_nas_bench_201_is_written_as_its_string(tmp_path: Path) -> None:
    export("nasbench201:resnet", to="notation", out=tmp_path / "cell.txt")
    text = (tmp_path / "cell.txt").read_text().strip()
    assert nasbench201.from_string(text) == nasbench201.family.published["resnet"]


def test_a_stacked_cell_is_written_and_drawn_as_a_network(tmp_path: Path) -> None:
    export("darts:DARTS_V2", ["layers=3", "channels=4"], to="notation,svg", out=tmp_path)
    assert "network(" in (tmp_path / "darts_v2.txt").read_text()


def test_a_space_is_exported_with_its_open_choices(tmp_path: Path) -> None:
    export("nasbench201", to="json,yaml,notation,svg,dot", out=tmp_path)
    assert read_found(tmp_path / "nasbench201.json").architecture == nasbench201.nasbench201()
    assert "{2-3:" in (tmp_path / "nasbench201.txt").read_text()
    assert not (tmp_path / "nasbench201.md").exists()


def test_a_tree_that_is_typed_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(SMALL, to="source", out=tmp_path / "mine.py", untrained=True, input="3,8,8", card=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert import_module("mine").load(tmp_path / "mine.safetensors")(images(2, (3, 8, 8))).shape == (2, 10)


def test_folded_batch_norms_change_nothing_but_their_number(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    export(str(trained), to="source", out=tmp_path / "folded.py", fold_bn=True)
    assert "4 of 5 batch norms folded" in capsys.readouterr().out  # that of the head reads a sum
    monkeypatch.syspath_prepend(tmp_path)
    model = import_module("folded").load(tmp_path / "folded.safetensors")
    assert difference(model, network_of(trained), 3) < LIMIT
    assert sum(isinstance(part, nn.BatchNorm2d) for part in model.modules()) == 1


# ----------------------------------------------------------------------------------------------- the model card


def test_the_card_says_what_was_measured_and_its_python_runs(
    exported: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = (exported / "digits_1.md").read_text()
    top1 = json.loads((trained / "best.test.json").read_text())["TestResult"]["raw"]["Accuracy"]["top1_percent"]
    assert f"{top1:.2f} % top-1" in card
    assert "(digits_1.svg)" in card
    assert "epochs: 1" in card
    blocks = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(blocks) == 4
    monkeypatch.chdir(exported)
    monkeypatch.syspath_prepend(exported)
    monkeypatch.delitem(sys.modules, "digits_1", raising=False)
    for block in blocks:
        ran: dict[str, Any] = {}
        exec(block, ran)
        assert ran["logits"].shape == (1, 10)


def test_without_a_card_there_is_the_file_alone(tmp_path: Path) -> None:
    export("nasbench201:all_skip", ["channels=4", "cells_per_stage=1"], to="source", out=tmp_path, card=False)
    assert [path.name for path in tmp_path.iterdir()] == ["all_skip.py"]


# ------------------------------------------------------------------------------------ what cannot be exported


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("nasbench201", {"to": "svg,onnx"}, r"a space with 6 open choices \(0-1, .* needs a closed network"),
        ("darts:DARTS_V2", {"to": "onnx"}, r"darts:DARTS_V2 has no trained weights, which onnx needs: train it"),
        ("darts:DARTS_V2", {"to": "onix"}, "there is no format 'onix'.*onnx"),
        ("darts:DARTS_V2", {}, "--to is missing: give some of .*onnx"),
        ("darts:DARTS_V2", {"to": "svg", "fold_bn": True}, "--fold-bn: .*onnx"),
        ("darts:DARTS_V2", {"to": "svg,dot", "out": Path("x.svg")}, "x.svg is a single file, but 2 formats"),
        ("darts:DARTS_V2", {"to": "svg", "out": Path("x.onnx")}, "x.onnx is no name for svg: .*x.svg"),
        ("darts:DARTS_V2", {"to": "source", "input": "3x0"}, "--input '3x0' is no shape"),
        ("lenet:lenet5", {"to": "source", "input": "1,8,8"}, "does not run on images of 1x8x8|does not fit"),
        ("darts:DARTS_V2", {"to": "svg", "out": Path("README.md")}, "README.md is no name for svg: give a folder"),
        ("darts:DARTS_V3", {"to": "svg"}, "no architecture 'DARTS_V3'"),
        ("lenet:lenet5", {"to": "source", "out": Path("torch.py")}, "torch.py .*: call it network_torch.py"),
        ("lenet:lenet5", {"to": "source", "out": Path("class.py")}, "class.py .*: call it network_class.py"),
        ("lenet:lenet5", {"to": "source", "out": Path("my net.py")}, "my net.py .*: call it my_net.py"),
        ("lenet:lenet5", {"to": "svg", "out": Path("README.md/x")}, "nothing can be written into README.md/x .*--out"),
        ("lenet:lenet5", {"to": "no_such_module:svg"}, "module 'no_such_module' cannot be imported .*PYTHONPATH"),
        (f"chain[{' '.join(['conv3-8'] * 40)}]", {"to": "onnx"}, "has no trained weights, which onnx needs"),
    ],
)
def test_what_cannot_be_exported_says_what_to_do(name: str, given: dict[str, Any], says: str) -> None:
    with pytest.raises(RecordError, match=says):
        export(name, **given)


def test_a_run_folder_without_weights_is_named(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "best.json").write_bytes((trained / "best.json").read_bytes())
    with pytest.raises(RecordError, match=rf"{run} has no trained weights \(no best.safetensors in it\).*--untrained"):
        export(str(run), to="safetensors", out=tmp_path)


def test_files_of_a_run_have_a_name_that_python_can_import(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "3 of my.runs"
    copytree(trained, run)
    export(str(run), to="source", out=tmp_path / "out")
    assert str(tmp_path) not in (tmp_path / "out" / "network_3_of_my_runs.py").read_text()


def test_a_full_disk_is_named_and_nothing_is_left(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*given: object) -> None:
        raise RuntimeError("some words of some library")

    monkeypatch.setattr("nas.export.formats.safetensors_file.save_weights", write)
    with pytest.raises(RuntimeError, match="some words"):
        export(str(trained), to="safetensors", out=tmp_path / "out")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(RecordError, match=r"the disk of .*out is full: make room, or give another --out"):
        export(str(trained), to="json,safetensors", out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_kept_unless_force_is_given(tmp_path: Path) -> None:
    (tmp_path / "resnet.svg").write_text("mine")
    with pytest.raises(RecordError, match=r"resnet.svg exists: .*--force"):
        export("nasbench201:resnet", to="json,svg", out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["resnet.svg"]
    assert (tmp_path / "resnet.svg").read_text() == "mine"
    export("nasbench201:resnet", to="json,svg", out=tmp_path, force=True)
    assert (tmp_path / "resnet.svg").read_text().startswith("<svg")


@pytest.mark.usefixtures("own_records")
def test_an_operation_that_onnx_has_not_is_named_with_its_place_and_nothing_is_left(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")

    class Bessel(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            values: Tensor = torch.special.bessel_j0(x)
            return values

    @record
    class BesselActivation(Node):
        def build(self, site: Site) -> nn.Module:
            return Bessel()

        def shape(self, site: Site) -> Shape:
            return site.shape

    network = "network(stem=conv3-4, head=classifier(classes=5))[bessel_activation]"
    with pytest.raises(
        RecordError, match=r"ONNX cannot express special_bessel_j0.*Bessel.* at layers.0 .*torch-export"
    ):
        export(network, to="json,onnx", out=tmp_path, untrained=True, input="3,8,8")
    assert list(tmp_path.iterdir()) == []


def test_a_format_whose_package_is_lacking_says_so_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    lines = list[str]()
    with pytest.raises(RecordError, match=r"onnxscript is not installed .*: pip install 'cellstack\[export\]'"):
        export_all(ExportRequest(SMALL, untrained=True), formats_named("onnx"), tmp_path, False, False, lines.append)
    assert not lines


@pytest.mark.usefixtures("own_records")
def test_a_format_of_ones_own_is_found_and_one_that_differs_is_put_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @record
    class Wrong(Format):
        """Write something else."""

        name: ClassVar[str] = "wrong"
        suffix: ClassVar[str] = ".wrong"

        def write(self, subject: Subject, built: Built | None, path: Path) -> None:
            path.write_text("wrong")

        def check(self, subject: Subject, built: Built | None, path: Path) -> float:
            return 0.25

    monkeypatch.setitem(sys.modules, "my_formats", ModuleType("my_formats"))
    named = formats_named("json,my_formats:wrong")
    done = export_all(ExportRequest("nasbench201:resnet"), named, tmp_path, False, True, print)
    assert [each.format.name for each in done.differing] == ["wrong"]
    with pytest.raises(BaseException, match="1"):
        export("nasbench201:resnet", to="json,wrong", out=tmp_path)
    assert (
        "wrong does not compute what the network computes: outputs differ by 2.5e-01"
        in capsys.readouterr().out.replace("\n", " ")
    )
    assert list(tmp_path.iterdir()) == []


def test_weights_of_another_stack_are_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds the weights of network"):
        export(str(trained), ["classes=7"], to="safetensors", out=tmp_path)
    assert list(tmp_path.iterdir()) == []
