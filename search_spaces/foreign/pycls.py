"""pycls: RegNets as configured by its YAML files, `REGNET: {DEPTH: 22, W0: 24, WA: 24.48, WM: 2.54, GROUP_W: 16}`.

Source: facebookresearch/pycls, pycls/core/config.py (keys and defaults), configs/dds_baselines/regnetx and regnety. Training
settings of a file are ignored: the recipe has its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nas.family import StackedNetwork
from nas.foreign import Foreign
from nas.plain import from_plain
from nas.records import Positive, RecordError, nearest
from search_spaces.regnet import regnet_x, regnet_y

NUMBERS: dict[str, Any] = {"DEPTH": Positive, "W0": Positive, "WA": float, "WM": float, "GROUP_W": Positive}
"""The parameters of the rule: depth, initial width, slope, step, and group width."""

FIXED: dict[str, Any] = {
    "BOT_MUL": 1.0,
    "STRIDE": 2,
    "SE_R": 0.25,
    "STEM_W": 32,
    "STEM_TYPE": "simple_stem_in",
    "BLOCK_TYPE": "res_bottleneck_block",
    "HEAD_W": 0,
}
"""The values common to all networks of the paper, which are the defaults of pycls too."""


def recognises(content: Any) -> bool:
    """Whether a content is a configuration of pycls: with a MODEL that has a TYPE, or a REGNET."""
    if not isinstance(content, Mapping):
        return False
    model = content.get("MODEL")
    return "REGNET" in content or (isinstance(model, Mapping) and "TYPE" in model)


def read(content: Any) -> StackedNetwork:
    """Return the RegNet of a configuration, with its image size."""
    model, rule = _part(content, "MODEL"), _part(content, "REGNET")
    if (kind := model.get("TYPE", "regnet")) != "regnet":
        raise RecordError(f"MODEL.TYPE is {kind!r}: only 'regnet' is supported")
    for key in rule:
        if key not in (known := [*NUMBERS, *FIXED, "SE_ON"]):
            raise RecordError(f"REGNET.{key} is not a key of pycls: {nearest(str(key), known)}")
    for key in NUMBERS:
        if key not in rule:
            raise RecordError(f"REGNET.{key} is missing: give {', '.join(NUMBERS)}")
    for key, value in FIXED.items():
        if rule.get(key, value) != value:
            raise RecordError(f"REGNET.{key} is {rule[key]!r}: only {value!r} is supported")
    numbers = {key: from_plain(rule[key], kind, f"REGNET.{key}") for key, kind in NUMBERS.items()}
    if numbers["WM"] <= 1 or numbers["WA"] < 0 or numbers["W0"] % 8:
        raise RecordError("REGNET is not a rule of widths: give WA of at least 0, W0 a multiple of 8, and WM above 1")
    attention = from_plain(rule.get("SE_ON", False), bool, "REGNET.SE_ON")
    network = (regnet_y if attention else regnet_x)(*numbers.values())
    classes = from_plain(model.get("NUM_CLASSES", 1000), Positive, "MODEL.NUM_CLASSES")
    size = from_plain(_part(content, "TRAIN").get("IM_SIZE", 224), Positive, "TRAIN.IM_SIZE")
    return StackedNetwork("regnet", network, {"classes": classes}, (3, size, size))


def _part(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = content.get(key) or {}
    if not isinstance(part, Mapping):
        raise RecordError(f"{key} is {part!r}: give a mapping, as in the files of pycls")
    return part


foreign = Foreign("facebookresearch/pycls", recognises, read)
