"""Once-for-all: a subnet of the MobileNetV3 supernet as its repository samples it, `{ks: [...], e: [...], d: [...]}`.

Source: Cai et al. 2020, arXiv:1908.09791; mit-han-lab/once-for-all, elastic_nn/networks/ofa_mbv3.py. There are five stages of
at most four blocks, whose kernels (3, 5, 7), expansions (3, 4, 6) and depths (2, 3, 4) are sampled; `wid` is the width of the
supernet (1.0 or 1.2) and `r` the image size. Deviation: the hidden layer of the head has a bias here, as in MobileNetV3; the
released code has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nas.building import Node
from nas.family import StackedNetwork
from nas.fields import shown
from nas.foreign import Foreign
from nas.layers.activation import RELU
from nas.layers.attention import divisible
from nas.layers.conv import ConvNormAct
from nas.records import RecordError, nearest
from nas.topology.chain import Stage
from nas.topology.heads import FullyConnected
from nas.topology.network import Network
from search_spaces.mobilenet import HARD_SWISH, inverted

STAGES = ((24, 2, False, False), (40, 2, True, False), (80, 2, False, True), (112, 1, True, True), (160, 2, True, True))
"""Width, stride, attention and hard swish of each stage."""

DEEPEST = 4
# key: (number of values, allowed values)
SIZES = {"ks": (20, (3, 5, 7)), "e": (20, (3, 4, 6)), "d": (5, (2, 3, 4))}
"""The lists of a subnet: kernels and expansions per block, depths per stage."""

KEYS = (*SIZES, "wid", "r")


def recognises(content: Any) -> bool:
    """Whether a content is a mapping of such lists."""
    return isinstance(content, Mapping) and len(SIZES.keys() & content.keys()) >= 2


def read(content: Any) -> StackedNetwork:
    """Return the network of a subnet; a single number applies to all blocks, as in the repository."""
    if "w" in content and "ks" not in content:
        raise RecordError(
            "d, e and w are of once-for-all's ResNet50, which is not supported: give a subnet of its MobileNetV3, by ks, e and d"
        )
    for key in content:
        if key not in KEYS:
            raise RecordError(f"{key!r} is not a key of once-for-all: {nearest(str(key), KEYS)}")
    kernels, expansions, depths = (_numbers(content, key) for key in SIZES)
    multiplier, size = _only(content.get("wid") or 1.0), _only(content.get("r") or 224)
    if multiplier not in (1.0, 1.2) or type(size) is not int or size < 32:
        raise RecordError(
            f"wid is {multiplier!r} and r {size!r}: give wid 1.0 or 1.2, and an image size of at least 32, as 224"
        )

    def width(channels: int) -> int:
        return divisible(channels * multiplier)

    def stages() -> Iterator[Node]:
        yield Stage(inverted(3, 1, False, RELU), 1, width(16))
        for i, (channels, stride, attention, hard) in enumerate(STAGES):
            # The lists have four entries per stage, whatever its depth; a shallower stage uses the first ones.
            for j in range(depths[i]):
                kernel, expansion = kernels[DEEPEST * i + j], expansions[DEEPEST * i + j]
                block = inverted(kernel, expansion, attention, HARD_SWISH if hard else RELU)
                yield Stage(block, 1, width(channels), 1 if j else stride)
        yield ConvNormAct(1, width(960), activation=HARD_SWISH)

    stem = ConvNormAct(3, width(16), 2, activation=HARD_SWISH)
    head = FullyConnected(1000, (width(1280),), HARD_SWISH, dropout=0.1, pool=1)
    return StackedNetwork("mobile", Network(stem, tuple(stages()), head), input=(3, size, size))


def _only(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


def _numbers(content: Mapping[str, Any], key: str) -> list[int]:
    """Return the list of a key, with a number per block or stage."""
    length, values = SIZES[key]
    if key not in content:
        raise RecordError(f"{key!r} is missing: give ks, e and d")
    given = [content[key]] * length if type(content[key]) is int else content[key]
    if not isinstance(given, list | tuple) or len(given) != length:
        many = f"{len(given)} numbers" if isinstance(given, list | tuple) else shown(given)
        raise RecordError(f"{key} has {many}: give {length}, as the MobileNetV3 of once-for-all has")
    for i, each in enumerate(given):
        if type(each) is not int or each not in values:
            raise RecordError(f"{key}[{i}] is {each!r}: give one of {', '.join(map(str, values))}")
    return list(given)


foreign = Foreign("Cai et al. 2020, arXiv:1908.09791", recognises, read)
