"""The standalone file of a network: it needs torch alone, reads well, and computes what the module computes."""

from __future__ import annotations

import builtins
import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from random import Random
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

import nas
from nas.building import Node, Shape, Site, build
from nas.export.source import write_source
from nas.export.source.page import as_class
from nas.family import families, family
from nas.layers.conv import ConvNormAct
from nas.notation import parse
from nas.operations.conv import same_conv
from nas.records import RecordError, import_all, record, record_classes
from nas.space import choices
from nas.topology.chain import Stage
from nas.topology.heads import Classifier
from nas.topology.network import Auxiliary, Network
from nas.training.checkpoint import save_weights
from search_spaces import darts, nasbench201, nasnet

pytestmark = pytest.mark.usefixtures("one_thread")

for package in ("nas.layers", "nas.operations", "nas.topology"):
    import_all(package)

SMALL: Shape = (3, 16, 16)
FORBIDDEN = ("nas", "search_spaces", "numpy", "safetensors", "yaml")


def made(network: Node, input: Shape = SMALL, seed: int = 0) -> nn.Module:
    """Return the module of a network with weights and statistics that all differ from their first values."""
    torch.manual_seed(seed)
    model = build(network, input).eval()
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif tensor.is_floating_point() and tensor.dim() < 2:
            tensor.normal_(0.5, 0.2)
    return model


def run(text: str) -> dict[str, Any]:
    """Run a written file as a module that may import torch and the standard library alone."""

    def guarded(name: str, *rest: Any) -> Any:
        assert not name.startswith(FORBIDDEN), f"the file imports {name}"
        return builtins.__import__(name, *rest)

    scope = {"__name__": "written", "__builtins__": {**vars(builtins), "__import__": guarded}}
    exec(compile(text, "written.py", "exec"), scope)
    return scope


def check(network: Node, model: nn.Module, input: Shape = SMALL, name: str = "found") -> str:
    """Assert that the written file is the same network; return its text."""
    text = write_source(network, model, input, name)
    written: nn.Module = run(text)[as_class(name)]()
    own, other = model.state_dict(), written.state_dict()
    kept = {key: tensor for key, tensor in own.items() if not key.startswith("auxiliary.")}
    assert {key: each.shape for key, each in other.items()} == {key: each.shape for key, each in kept.items()}
    weights = [each for key, each in model.named_parameters() if not key.startswith("auxiliary.")]
    assert sum(each.numel() for each in written.parameters()) == sum(each.numel() for each in weights)
    written.load_state_dict(kept)
    images = torch.randn(2, *input, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = model.eval()(images), written.eval()(images)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert expected.std() > 0
    return text


def ruff(folder: Path) -> None:
    """Assert that what stands in a folder is checked and formatted."""
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed: pip install ruff, or the extra [dev]")
    root = Path(__file__).parents[2]
    for command in (["check", "-q"], ["format", "--check", "-q", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", root / "pyproject.toml", folder],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


CELLS: dict[str, Node] = {
    **{f"darts {name}": darts.network(cells, channels=8, layers=4) for name, cells in darts.PUBLISHED.items()},
    **{f"nasnet {name}": nasnet.network(cells, 8, 1) for name, cells in nasnet.PUBLISHED.items()},
    **{f"nasbench201 {name}": nasbench201.network(c, 8, 1) for name, c in nasbench201.family.published.items()},
}
FEW = ("darts DARTS_V2", "nasnet NASNet_A", "nasbench201 resnet")


@pytest.mark.parametrize(
    "name", [*FEW, *(pytest.param(name, marks=pytest.mark.slow) for name in CELLS if name not in FEW)]
)
def test_published_cells_are_the_same_networks(name: str) -> None:
    check(CELLS[name], made(CELLS[name]))


NODES = """
conv3 conv1(norm="none", activation=swish) conv3(norm="layer") conv5x1(order="pre"); normalize pool3/1 channel_shuffle
conv3-24(groups=4); shift3 shift3(learned=true); squeeze_excite; core_unit core_unit(second="tanh", beta=2.0)
resize(factor=1.5) resize(factor=0.7); layer_scale relu; relu_conv3; relu_conv3(bottleneck=4); asymmetric_conv7; sep_conv3
dil_conv5; max_pool3; avg_pool3; skip; zero; mb_conv5(squeeze=0.25, drop_path=0.5); selective_kernel; shift_conv3
attention_conv3; pool2(padding=0, kind="l2"); residual(scale=0.5, drop_path=0.5)[conv3 x2]
residual(activation=relu, opening=normalize)[conv3 *conv3]; residual(shortcut=skip)[conv3]; dense(growth=8)[conv3]
highway[conv3]; branches[conv1, conv3]; branches(split=true)[conv1, conv3]; branches(join="add")[conv1, conv3]
wired(nodes=6)[sep_conv3]; polynomial(activation=relu)[conv3 conv3]; polynomial(order=3)[conv3]
polynomial(kind="way")[conv3 x2]; dual_path(growth=4, projection=conv1)[conv3]; dag(edges=((1, 1, 1), (1, 0), (1,)))[conv3, conv1]
backbone(modules=3, halved=(1,), doubled=(0, 2))[conv3]
deluge(repeat=3)[conv3]
masked(mask=hourglass[conv3])[conv3]; hourglass(pool=pool2)[conv1 hourglass[conv3] conv1]
multi_scale(growth=4, interval=2)[conv1, conv3]
conv3(norm=group, padding=reflect) conv3(norm=instance, padding=replicate, activation=prelu)
conv3(norm=local_response_norm(size=3)); normalize(norm=group_norm(groups=4)) global_response_norm; group_norm prelu
local_response_norm; squeeze_excite(pool="both", reduction=4) spatial_gate7 squeeze_excite(pool="max"); bam
bam(join="product", reduction=4) spatial_gate3(norm=false); augmented_conv3(heads=2, key=0.5, value=0.25)
self_attention(heads=2, relative=true); self_attention(heads=1, pool=2, scale=false); non_local non_local(norm=false, pool=1)
double_attention double_attention(features=3, maps=5, norm=batch); sep_conv3(norm=group) mb_conv3(norm=layer)
resize(factor=2.0, mode="nearest"); transposed_conv4-8 transposed_conv3(scale=1, norm=none); transposed_conv2; space_to_depth
depth_to_space space_to_depth; branches(join="max")[conv1, conv3]; branches(join="product")[conv1, conv3(activation=sigmoid)]
spatial_pyramid; spatial_pyramid(levels=(3, 1), kind="mean"); inner_imaging2x1
space_time_conv3(frames=4) space_time_pool3(frames=4); space_time_conv1x3(frames=2, kernel_time=1) space_time_conv1(frames=2)
space_time_pool1(frames=8, kind="mean") space_time_conv3(frames=8, norm=none)
residual(gate=inner_imaging3(columns=8), drop_path=0.5)[conv3]
conv3(norm=batch_norm(epsilon=0.001, momentum=0.01)); ensemble[conv3-8, conv1-8]
residual[residual[conv3 conv3] conv1]; hierarchy(body=motif(number=1))[conv3, [motif(number=0) motif(number=0)]]
"""
LAYERS = [text for line in NODES.strip().splitlines() for text in line.split("; ")]


def around(text: str) -> Network:
    """Return a small network that holds nodes at two widths."""
    return Network(ConvNormAct(3, 16), (Stage(parse(text)), ConvNormAct(1, 24), Stage(parse(text))), Classifier(5))


@pytest.mark.parametrize("text", LAYERS)
def test_every_node_is_written(text: str) -> None:
    check(around(text), made(around(text)))


@pytest.mark.parametrize("name", ["found", "tensor", "path"])
def test_a_tree_that_is_no_network_is_written_under_its_name(name: str) -> None:
    for text in ("conv3-4", "conv3-16 residual[conv3] x3-16 classifier(classes=10)", "residual[residual[conv3]]"):
        assert f"\nclass {as_class(name)}(" in check(parse(text), made(parse(text)), name=name)


def test_all_nodes_are_in_the_list() -> None:
    ours = {name for name, cls in record_classes(Node).items() if cls.__module__.startswith("nas.")}
    elsewhere = {"Cell", "FullyConnected", "ConvClassifier", "PooledClassifier", "Appended", "Auxiliary"}  # in families
    elsewhere |= {"SlicedModule"}  # in tests/modules
    assert ours - elsewhere <= nodes_in(*(around(text) for text in LAYERS))


def nodes_in(*trees: Any) -> set[str]:
    """Return the names of the nodes of trees."""
    found: set[str] = set()
    for tree in trees:
        if isinstance(tree, tuple):
            found |= nodes_in(*tree)
        elif hasattr(tree, "__dataclass_fields__"):
            inner = nodes_in(*(getattr(tree, name) for name in tree.__dataclass_fields__))
            found |= inner | ({type(tree).__name__} if isinstance(tree, Node) else set())
    return found


def test_weights_are_read_from_the_exported_file(tmp_path: Path) -> None:
    network = around("polynomial(activation=relu)[conv3 conv3]")
    model = made(network)
    save_weights(model, tmp_path / "found.safetensors", "a digest")
    loaded: nn.Module = run(check(network, model))["load"](str(tmp_path / "found.safetensors"))
    assert not loaded.training
    images = torch.randn(2, *SMALL)
    assert torch.equal(loaded(images), model(images))
    tied = {id(weight) for weight in loaded.parameters()}
    assert len(tied) == len(list(model.parameters())) < len(model.state_dict())


def test_auxiliary_heads_are_left_out_and_their_weights_passed_over(tmp_path: Path) -> None:
    network = Network(ConvNormAct(3, 8), (ConvNormAct(3, 8),), Classifier(5), Auxiliary(0, 5))
    model = made(network)
    save_weights(model, tmp_path / "found.safetensors")
    loaded: nn.Module = run(check(network, model))["load"](str(tmp_path / "found.safetensors"))
    images = torch.randn(2, *SMALL)
    assert torch.equal(loaded(images), model(images))
    assert isinstance(loaded.train()(images), Tensor)


def test_the_model_is_left_as_it_was() -> None:
    network = around("residual(drop_path=0.5)[conv3]")
    model = made(network).train()
    model.get_submodule("stem").eval()
    before = {name: (part.training, len(part._forward_hooks)) for name, part in model.named_modules()}
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    write_source(network, model, SMALL, "found")
    assert before == {name: (part.training, len(part._forward_hooks)) for name, part in model.named_modules()}
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_a_network_for_other_classes_is_made_by_its_argument() -> None:
    text = check(around("conv3"), made(around("conv3")))
    assert run(text)["Found"](classes=7)(torch.zeros(1, *SMALL)).shape == (1, 7)


def test_folded_norms_are_gone() -> None:
    network = around("residual[conv3 conv3]")
    model = made(network)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Conv2d):
            module.bias = nn.Parameter(torch.randn(module.out_channels))
        elif isinstance(module, nn.BatchNorm2d):
            model.set_submodule(name, nn.Identity())
    assert "BatchNorm" not in check(network, model)


@pytest.mark.parametrize("name", ["macro", "mobile", "hierarchical", "highway", "densenet"])
def test_members_of_spaces_are_written(name: str) -> None:
    found = families()[name]
    space = found.space()
    network = found.network(nas.sample(space, Random(3)) if choices(space) else space)
    check(network, made(network))


class GatedMean(nn.Module):
    """Weigh channels by their means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.scale = nn.Parameter(torch.ones(channels))
        self.register_buffer("offset", torch.tensor([0.5, 0.25]))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3)) * self.scale
        if self.channels > 1 and x.mean() > -1000:
            mean = mean + self.offset.sum()  # type: ignore[operator]
        return x * gate(mean)[:, :, None, None]


def gate(x: Tensor) -> Tensor:
    """Return the gate."""
    return torch.sigmoid(x) * FACTOR


FACTOR = 2.0


class Undecided(nn.Module):
    """Asks the values what to do, and does it by a function without a name."""

    def __init__(self) -> None:
        super().__init__()
        self.function: Any = lambda x: -x

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.function(x) if x.mean() > 0 else x
        return result


class Foreign(nn.Module):
    """Uses another library."""

    def forward(self, x: Tensor) -> Tensor:
        return x * float(numpy.sqrt(float(x.mean().abs())))


@pytest.mark.usefixtures("own_records")
def test_operations_of_ones_own_are_written_or_refused_by_name(tmp_path: Path) -> None:
    @record
    class OwnConv(Node):
        """Apply an own convolution and an own gate."""

        def build(self, site: Site) -> nn.Module:
            conv = same_conv((site.shape[0], site.channels), 3, site.stride, groups=4)
            return nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(site.channels), GatedMean(site.channels))

    @record
    class Odd(Node):
        """Do what cannot be written."""

        foreign: bool = False

        def build(self, site: Site) -> nn.Module:
            return Foreign() if self.foreign else Undecided()

    network = Network(ConvNormAct(3, 16), (Stage(OwnConv(), 2, 16), Stage(OwnConv(), 1, 24, 2)), Classifier(5))
    text = check(network, made(network))
    assert "class GatedMean(nn.Module):" in text
    (tmp_path / "own.py").write_text(text, encoding="utf-8")
    ruff(tmp_path)
    for odd, what in ((Odd(), "Undecided .*its attribute function is a function"), (Odd(True), "Foreign .* numpy")):
        refused = Network(ConvNormAct(3, 16), (odd,), Classifier(5))
        with pytest.raises(RecordError, match=what):
            write_source(refused, made(refused), SMALL, "odd")


@pytest.mark.slow
def test_files_are_as_short_and_as_tidy_as_if_they_were_typed(tmp_path: Path) -> None:
    header = ["Found by evolution on CIFAR-10; " + "a long line, " * 12]
    for name, most in (("darts:DARTS_V2", 200), ("resnet:resnet50", 130), ("nasbench201:resnet", 150)):
        found, _, member = name.partition(":")
        network = family(found).network(family(found).published[member])
        model = build(network, family(found).input_of(member))
        text = write_source(network, model, family(found).input_of(member), member.lower(), header)
        assert len(text.splitlines()) < most
        assert max(map(len, text.splitlines())) <= 120
        (tmp_path / f"{member}.py").write_text(text, encoding="utf-8")
    for i, layer in enumerate(LAYERS[::6]):
        network, name = around(layer), f"layer{i}"
        (tmp_path / f"{name}.py").write_text(write_source(network, made(network), SMALL, name), encoding="utf-8")
    ruff(tmp_path)
    assert "class Bottleneck(nn.Sequential):" in (tmp_path / "resnet50.py").read_text()
    assert "class NormalCell(nn.Module):" in (tmp_path / "DARTS_V2.py").read_text()


def smallest(name: str) -> str:
    """Return the published network of a family that has the fewest weights."""
    found = families()[name]

    def size(member: str) -> int:
        with torch.device("meta"):
            model = build(found.network(found.published[member]), found.input_of(member))
        return sum(each.numel() for each in model.parameters())

    return min(found.published, key=size)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, found in families().items() if found.published])
def test_a_network_of_every_family_is_written_at_its_size(name: str, tmp_path: Path) -> None:
    found = families()[name]
    member = smallest(name)
    network, input = found.network(found.published[member]), found.input_of(member)
    (tmp_path / "found.py").write_text(check(network, made(network, input), input), encoding="utf-8")
    ruff(tmp_path)


@pytest.mark.slow
def test_files_run_where_there_is_torch_alone(tmp_path: Path) -> None:
    python = bare_environment(tmp_path / "bare")
    lines = [
        "import importlib.util, torch",
        f"for name in {FORBIDDEN!r}:",
        "    assert importlib.util.find_spec(name) is None, name",
    ]
    networks = {
        "darts_v2": CELLS["darts DARTS_V2"],
        "nasnet_a": CELLS["nasnet NASNet_A"],
        "resnet20": family("resnet").network(family("resnet").published["resnet20_cifar"]),
        "unusual": around(
            "attention_conv3 shift3(learned=true) selective_kernel polynomial(activation=relu)[conv3 conv3]"
        ),
    }
    for file, network in networks.items():
        model = made(network)
        (tmp_path / f"{file}.py").write_text(write_source(network, model, SMALL, file), encoding="utf-8")
        save_weights(model, tmp_path / f"{file}.safetensors")
        with torch.no_grad():
            expected = model(torch.ones(1, *SMALL)).flatten().tolist()
        lines += [f"import {file}", f"found = {file}.load('{file}.safetensors')(torch.ones(1, 3, 16, 16)).flatten()"]
        lines += [f"assert (found - torch.tensor({expected})).abs().max() < 1e-4"]
    (tmp_path / "all.py").write_text("\n".join(lines), encoding="utf-8")
    for command in (["all.py"], ["darts_v2.py", "darts_v2.safetensors"]):
        done = subprocess.run([python, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert done.stdout == "(1, 10)\n"


def bare_environment(folder: Path) -> Path:
    """Make a virtual environment that sees torch and what torch needs, and nothing else."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = Path(sysconfig.get_paths()["purelib"])
    own = next(folder.glob("lib/python*/site-packages"))
    needed = "torch torchgen functorch sympy mpmath networkx jinja2 markupsafe fsspec filelock setuptools".split()
    libraries = [each.name for kind in ("nvidia*", "triton*") for each in packages.glob(kind)]
    for name in [*needed, "typing_extensions.py", *libraries]:
        if (packages / name).exists():
            (own / name).symlink_to(packages / name)
    return folder / "bin" / "python"


@pytest.mark.slow
def test_the_same_network_is_the_same_file_in_every_process(tmp_path: Path) -> None:
    code = (
        "import torch; from nas.building import build; from nas.export.source import write_source;"
        "from search_spaces import nasnet; tree = nasnet.network(nasnet.PUBLISHED['NASNet_A'], 8, 1);"
        "print(write_source(tree, build(tree), (3, 32, 32), 'found'))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1
