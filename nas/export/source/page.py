"""Page: the whole file, from its docstring to its main block."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from nas.building import Node, Shape
from nas.export.source.blocks import read_blocks
from nas.export.source.classes import Classes
from nas.export.source.forms import NetworkModule
from nas.export.source.forward import IMPORTS, TAKEN, Forward
from nas.export.source.groups import walk
from nas.export.source.terms import WIDTH
from nas.notation import in_lines, notation
from nas.profiling import profile_module
from nas.records import RecordError
from nas.topology.chain import Stage

_LONG = 40
"""A longer part of the notation that repeats is written once, and abbreviated by a letter."""

_LOADING = '''
def load(path: str) -> {name}:
    """Return the network with the weights of a .safetensors file, ready for images."""
    model = {name}()
    model.load_state_dict({tensors})
    return model.eval()


def read_tensors(path: str) -> dict[str, Tensor]:
    """Read a .safetensors file: the length of a header, the header in JSON, and the numbers."""
    data = bytearray(Path(path).read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    tensors = {{}}
    for key, entry in header.items():
        begin, end = entry["data_offsets"]
        numbers = torch.frombuffer(data[start + begin : start + end], dtype=DTYPES[entry["dtype"]])
        tensors[key] = numbers.reshape(entry["shape"])
    return tensors


if __name__ == "__main__":
    network = load(sys.argv[1]) if len(sys.argv) > 1 else {name}().eval()
    with torch.no_grad():
        print(tuple(network(torch.randn(1, {input})).shape))
'''

# the types of the safetensors format that torch has too
_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}


def page(network: Node, model: nn.Module, input: Shape, name: str, header: Sequence[str]) -> str:
    """Return the text of the file."""
    root, class_name = read_blocks(network, model, input), as_class(name)
    classes = Classes(root, class_name)
    forwards = [block.kind.forward for block in walk(root) if block.kind is not None]
    helpers = list(_helpers(forwards, class_name).values())
    functions = [text for text in helpers if text.startswith("def ")]
    constants = [_dtypes(model), *(text for text in helpers if text not in functions)]
    opening = [
        f'"""{_docstring(network, model, input, name, header)}\n"""',
        "from __future__ import annotations",
        _imports({line for forward in forwards for line in forward.imports}),
        "\n".join(constants),
    ]
    tensors = "read_tensors(path)"
    # the file may have an auxiliary head, which is only trained
    if _auxiliary(model):
        tensors = f'{{key: each for key, each in {tensors}.items() if not key.startswith("auxiliary.")}}'
    ending = _LOADING.format(name=class_name, tensors=tensors, input=", ".join(map(str, input)))
    written_term = (definition.text for definition in classes.written.values())
    return "\n\n\n".join(["\n\n".join(opening), *functions, *written_term, ending.strip()]) + "\n"


def _helpers(forwards: Sequence[Forward], class_name: str) -> dict[str, str]:
    """Return the functions and constants outside the classes, by name. Raises RecordError where two share a name."""
    found = {class_name: ""}
    for name, text in (each for forward in forwards for each in forward.beside()):
        # equal texts of two modules are one helper
        if found.setdefault(name, text) != text:
            raise RecordError(f"two modules use different objects named {name}: rename one, since they share a file")
    return {name: found[name] for forward in forwards for name in forward.helpers}


def _auxiliary(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights of the auxiliary heads, which are used in training alone."""
    return list(model.auxiliary.parameters()) if isinstance(model, NetworkModule) else []


def _dtypes(model: nn.Module) -> str:
    """Return the line with the data types of the weights, and those that weights are commonly converted to."""
    for key, tensor in model.state_dict().items():
        if tensor.dtype not in _TYPES.values():
            kept = ", ".join(str(each) for each in _TYPES.values())
            raise RecordError(
                f"{key} has dtype {tensor.dtype}, which the written file cannot read: convert it to one of {kept}"
            )
    types = {tensor.dtype for tensor in model.state_dict().values()} | {torch.float32, torch.float16, torch.bfloat16}
    named = (f'"{name}": {dtype}' for name, dtype in _TYPES.items() if dtype in types)
    return f"DTYPES = {{{', '.join(named)}}}"


def _imports(needed: set[str]) -> str:
    """Return the import lines in isort's order: the standard library before torch, whole modules first."""
    opening = "from torch import "
    needed = needed | set(IMPORTS.values())
    names = {line.removeprefix(opening) for line in needed if line.startswith(opening)}
    needed = {line for line in needed if not line.startswith(opening)} | {opening + ", ".join(sorted(names))}
    torch_own = {line for line in needed if line.split()[1].partition(".")[0] == "torch"}
    parts = [sorted(each, key=lambda line: (line.startswith("from"), line)) for each in (needed - torch_own, torch_own)]
    return "\n\n".join("\n".join(part) for part in parts)


def _docstring(network: Node, model: nn.Module, input: Shape, name: str, header: Sequence[str]) -> str:
    macs = profile_module(model, input).macs
    params = sum(each.numel() for each in model.parameters()) - sum(each.numel() for each in _auxiliary(model))
    channels, height, width = input
    about = (
        f"{as_class(name)}: an image classifier of {params:,} parameters and {macs:,} multiply-adds for an image "
        f"of {channels} x {height} x {width}."
    )
    use = (
        f"It needs only torch. `python {name}.py {name}.safetensors` loads the weights and runs the network "
        "once. Drop path and auxiliary heads, which act only in training, are left out. In Python:"
    )
    lines = [
        *_wrapped(about),
        "",
        *(line for each in header for line in (_wrapped(each) or [""])),
        *([""] if header else []),
        *_wrapped(use),
        "",
        f"    from {name} import load",
        f'    network = load("{name}.safetensors")  # takes (B, {channels}, {height}, {width}), returns logits',
        "",
        "The architecture as text:",
        "",
        *_architecture(network),
    ]
    return "\n".join(lines).rstrip().replace("\\", "\\\\").replace('"""', "'" * 3)


def _architecture(network: Node) -> Iterator[str]:
    """Yield the lines of the notation; a long part that repeats is abbreviated by a letter, defined on a line before."""
    text, bodies = notation(network), dict[str, str]()
    for stage in getattr(network, "stages", ()):
        body = notation(stage.body) if isinstance(stage, Stage) else ""
        if len(body) > _LONG and text.count(body) > 1 and len(bodies) < 26:
            bodies.setdefault(body, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[len(bodies)])
    for body, letter in bodies.items():
        text = text.replace(body, letter)
        yield from _wrapped(f"{letter} = {body}", "    ")
    for line in in_lines(text, WIDTH - 4):
        yield from _wrapped(line.strip(), "    " if line[0] != " " else "      ")


def _wrapped(text: str, indent: str = "") -> list[str]:
    hanging = indent and f"{indent}  "
    return textwrap.wrap(
        text,
        WIDTH - 1,
        initial_indent=indent,
        subsequent_indent=hanging,
        break_on_hyphens=False,
        break_long_words=False,
    )


def as_class(name: str) -> str:
    """Return a name as a class name: `resnet50` as ResNet50, `darts_v2` as DARTSV2."""
    parts = re.findall(r"[A-Za-z]+|[0-9]+", name)
    joined = "".join(_SPELT.get(part.lower(), part[0].upper() + part[1:]) for part in parts)
    return joined if joined[:1].isalpha() and joined not in TAKEN else f"Network{joined}"


_SPELT = {
    each.lower(): each
    for each in "AlexNet AmoebaNet ConvNeXt DARTS DenseNet DPN EfficientNet GoogLeNet LeNet MnasNet MobileNet NASNet PDARTS "
    "PNASNet PolyNet RandWire RegNet ResNet ResNeXt SENet ShiftNet ShuffleNet SKNet SqueezeNet VGG".split()
}
