"""What people bring from other libraries: genotypes, NNI's JSON, pycls' YAML, timm's strings, parts of once-for-all."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.foreign import foreigns
from nas.profiling import profile
from nas.records import RecordError, digest
from nas.runs.architecture import find_architecture
from nas.runs.written import read_content
from search_spaces import darts, efficientnet, mnasnet, nasbench201, regnet

Call = Callable[..., Any]
Genotype = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")

FOREIGNS = foreigns()
V2 = darts.PUBLISHED["DARTS_V2"]
FIELDS = darts.to_genotype(V2)
PRINTED = darts.genotype_text(V2)


def by_node(edges: list[list[Any]], weight: float | None = None) -> list[list[tuple[Any, ...]]]:
    """Return edges in a list for each node, as pt.darts has them, or with weights, as GDAS has them."""
    rest = () if weight is None else (weight,)
    return [[(*edge, *rest) for edge in edges[i : i + 2]] for i in range(0, len(edges), 2)]


def nni_of(genotype: dict[str, Any], as_list: bool) -> dict[str, Any]:
    """Return a genotype as NNI 2.x (a number) or 3.0 (a list) exports it."""
    labels: dict[str, Any] = {}
    for cell in ("normal", "reduce"):
        for i, (name, source) in enumerate(genotype[cell]):
            labels[f"{cell}/op_{2 + i // 2}_{i % 2}"] = name
            labels[f"{cell}/input_{2 + i // 2}_{i % 2}"] = [source] if as_list else source
    return labels


STRUCTURE = [
    [("nor_conv_3x3", 0)],
    [("none", 0), ("nor_conv_3x3", 1)],
    [("skip_connect", 0), ("none", 1), ("skip_connect", 2)],
]
NNI_201 = {
    "0_1": "conv_3x3",
    "0_2": "none",
    "1_2": "conv_3x3",
    "0_3": "skip_connect",
    "1_3": "none",
    "2_3": "skip_connect",
}
RESNET_201 = nasbench201.family.published["resnet"]

B0 = """ds_r1_k3_s1_e1_c16_se0.25 ir_r2_k3_s2_e6_c24_se0.25 ir_r2_k5_s2_e6_c40_se0.25 ir_r3_k3_s2_e6_c80_se0.25
ir_r3_k5_s1_e6_c112_se0.25 ir_r4_k5_s2_e6_c192_se0.25 ir_r1_k3_s1_e6_c320_se0.25""".split()
A1 = """ds_r1_k3_s1_c16_noskip ir_r2_k3_s2_e6_c24 ir_r3_k5_s2_e3_c40_se0.25 ir_r4_k3_s2_e6_c80 ir_r2_k3_s1_e6_c112_se0.25
ir_r3_k5_s2_e6_c160_se0.25 ir_r1_k3_s1_e6_c320""".split()
REGNET_X = {"DEPTH": 13, "W0": 24, "WA": 36.44, "WM": 2.49, "GROUP_W": 8}
LARGEST = {"ks": [7] * 20, "e": [6] * 20, "d": [4] * 5}

WHOLE: dict[str, list[tuple[Any, Any]]] = {
    "genotype": [
        (FIELDS, V2),
        (PRINTED, V2),
        (PRINTED.replace("[2, 3, 4, 5]", "range(2, 6)"), V2),
        (f"DARTS_V2 = {PRINTED}", V2),
        (f"08/12 09:14:54 PM genotype = {PRINTED}", V2),
        (f"Genotype({', '.join(repr(FIELDS[key]) for key in FIELDS)})", V2),
        ({**FIELDS, "normal": by_node(FIELDS["normal"]), "reduce": by_node(FIELDS["reduce"])}, V2),
        ({**FIELDS, "normal": by_node(FIELDS["normal"], 0.13), "reduce": by_node(FIELDS["reduce"], 1)}, V2),
        ({**FIELDS, "normal": [(*edge, 0.5) for edge in FIELDS["normal"]]}, V2),
    ],
    "structure": [(STRUCTURE, RESNET_201), (f"Structure({STRUCTURE})", RESNET_201)],
    "nni": [
        (nni_of(FIELDS, as_list=False), V2),
        (nni_of(FIELDS, as_list=True), V2),
        ({**nni_of(FIELDS, as_list=True), "width": 36, "num_cells": [20]}, V2),
        ({f"cell/{key}": value for key, value in NNI_201.items()}, RESNET_201),
        ({f"cell__{key}": [value] for key, value in NNI_201.items()}, RESNET_201),
    ],
    "pycls": [
        ({"MODEL": {"TYPE": "regnet", "NUM_CLASSES": 1000}, "REGNET": REGNET_X}, regnet.PUBLISHED["regnetx_002"])
    ],
    "timm": [([[each] for each in A1], None), (A1, None), (", ".join(A1), None)],
    "once_for_all": [(LARGEST, None), ({**LARGEST, "wid": 1.2, "r": [192]}, None)],
}
"""What each way of others looks like, whole, and what it is here, where a second source says so."""


def as_file(content: Any, folder: Path) -> Path:
    path = folder / ("content.txt" if isinstance(content, str) else "content.json")
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_every_way_of_others_has_examples() -> None:
    assert WHOLE.keys() == FOREIGNS.keys()


@pytest.mark.parametrize("name", FOREIGNS)
def test_what_others_write_is_read_typed_and_from_a_file(name: str, tmp_path: Path) -> None:
    for content, architecture in WHOLE[name]:
        typed = content if isinstance(content, str) else repr(content)
        found = find_architecture(typed)
        assert find_architecture(str(as_file(content, tmp_path))) == found
        if not isinstance(content, str):
            (tmp_path / "content.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(content))), encoding="utf-8")
            assert find_architecture(str(tmp_path / "content.yaml")) == found
            recognising = [other for other, each in FOREIGNS.items() if each.recognises(content)]
            assert recognising == [name]
        if architecture is not None:
            assert digest(found.architecture) == digest(architecture)


@pytest.mark.parametrize("name", FOREIGNS)
def test_a_way_of_others_recognises_nothing_else(name: str) -> None:
    for content in (
        None,
        True,
        3,
        0.5,
        "",
        "conv3-64",
        [],
        [[]],
        {},
        {"a": 1},
        {3: 4},
        [1, "a"],
        ["a"],
        {"Cells": {}},
        [None],
    ):
        assert not FOREIGNS[name].recognises(content), content


def test_the_namedtuple_itself_is_a_genotype() -> None:
    assert darts.from_genotype(Genotype(**FIELDS)) == V2
    assert darts.from_genotype(Genotype(FIELDS["normal"], range(2, 6), FIELDS["reduce"], range(2, 6))) == V2


def test_gdas_is_read_with_its_weights() -> None:
    # D-X-Y/AutoDL-Projects, GDAS_F1's reduction cell is fixed; this is the normal cell of GDAS_V1 for both
    text = """[('skip_connect', 0, 0.13017), ('skip_connect', 1, 0.12948), ('skip_connect', 0, 0.13063),
        ('sep_conv_5x5', 2, 0.12981), ('sep_conv_3x3', 3, 0.12924), ('skip_connect', 0, 0.12902),
        ('sep_conv_5x5', 4, 0.12939), ('sep_conv_3x3', 3, 0.12892)]"""
    cells = find_architecture(
        f"GDAS_V1 = Genotype(normal={text}, normal_concat=range(2, 6), reduce={text}, reduce_concat=range(2, 6))"
    ).architecture
    edges = "(skip_connect~0, skip_connect~1) (skip_connect~0, sep_conv_5x5~2) (skip_connect~0, sep_conv_3x3~3)"
    assert darts.describe(cells).startswith(f"normal: {edges} (sep_conv_3x3~3, sep_conv_5x5~4)  reduce: ")


def test_the_options_that_nni_took_stack_the_network() -> None:
    found = read_content({**nni_of(FIELDS, as_list=True), "width": 16, "depth": 8})
    assert (found.family, found.options) == ("darts", {"channels": 16, "layers": 8})


def test_timms_mnasnet_a1_is_that_of_the_family() -> None:
    (ours,) = [mnasnet.PUBLISHED["semnasnet_100"]]
    read: Any = find_architecture(repr(A1)).architecture
    theirs = replace(read, head=ours.head)
    assert profile(theirs, (3, 224, 224)).params == profile(ours, (3, 224, 224)).params == 3_887_038
    assert theirs.stages[1:] == ours.stages[1:]


def test_timms_efficientnet_b0_has_the_published_parameters() -> None:
    b0 = find_architecture(json.dumps({"arch_def": [[each] for each in B0], "act_layer": "swish", "drop_rate": 0.2}))
    counts, ours = profile(b0.architecture, b0.input), profile(efficientnet.PUBLISHED["efficientnet_b0"], b0.input)
    assert (counts.params, counts.macs) == (ours.params, ours.macs)
    assert counts.params == 5_288_548


def test_pycls_regnet_x_200mf_has_the_published_parameters() -> None:
    found = read_content({"MODEL": {"TYPE": "regnet"}, "REGNET": REGNET_X, "TRAIN": {"IM_SIZE": 224}})
    assert found.family == "regnet"
    assert abs(profile(found.architecture, found.input).params / 1e6 - 2.7) < 0.05  # pycls, MODEL_ZOO.md


def test_a_part_of_once_for_all_is_its_blocks() -> None:
    smallest = read_content({"ks": 3, "e": 3, "d": 2})
    largest, wider = read_content(LARGEST), read_content({**LARGEST, "wid": 1.2, "r": [192]})
    params = [profile(each.architecture, each.input).params for each in (smallest, largest, wider)]
    assert params == sorted(params)
    assert len(smallest.architecture.stages) == 1 + 5 * 2 + 1
    assert len(largest.architecture.stages) == 1 + 5 * 4 + 1
    assert wider.input == (3, 192, 192)


# ------------------------------------------------------------------------------------------------------ damaged


def damaged_genotypes() -> dict[str, tuple[Any, str]]:
    """Return damaged genotypes, with what is said of each."""

    def changed(key: str, value: Any) -> dict[str, Any]:
        return {**FIELDS, key: value}

    def edge(value: Any) -> dict[str, Any]:
        return changed("normal", [value, *FIELDS["normal"][1:]])

    normal = FIELDS["normal"]
    return {
        "seven pairs": (changed("normal", normal[:7]), "normal of the genotype has 7 pairs: give two for each node, 8"),
        "nine pairs": (changed("reduce", [*normal, normal[0]]), "reduce of the genotype has 9 pairs"),
        "six pairs": (changed("normal", normal[:6]), "normal_concat has state 5, and normal has 6 pairs"),
        "ten pairs": (
            changed("normal", [*normal, *normal[:2]]),
            "state 6 of normal is neither read nor in normal_concat",
        ),
        "no pairs": (changed("normal", []), "has 0 pairs"),
        "empty concat": (changed("normal_concat", []), "normal_concat is []: give the states"),
        "no concat": (changed("reduce_concat", None), "reduce_concat is None: give the states"),
        "texts": (changed("normal_concat", ["2"]), "normal_concat is ['2']: give the states"),
        "a number": (changed("normal_concat", 4), "normal_concat is 4: give the states"),
        "truths": (changed("normal_concat", [True, 3, 4, 5]), "normal_concat is [True, 3, 4, 5]"),
        "twice": (changed("normal_concat", [2, 2, 3, 4, 5]), "give each state once"),
        "below zero": (changed("normal_concat", [-1, 3, 4, 5]), "give each state once, from 0 to 5"),
        "short concat": (changed("normal_concat", [2, 3, 4]), "state 5 of normal is neither read nor"),
        "beyond": (changed("normal_concat", [2, 3, 4, 6]), "normal_concat has state 6, and normal has 8 pairs"),
        "without reduce": ({key: FIELDS[key] for key in FIELDS if key != "reduce"}, "the genotype has no 'reduce'"),
        "misspelt": ({**FIELDS, "redcue": []}, "the genotype has a part 'redcue': did you mean 'reduce'?"),
        "unknown": (edge(["sep_conv_3x33", 0]), "an operation 'sep_conv_3x33': did you mean 'sep_conv_3x3'?"),
        "too high": (edge(["sep_conv_3x3", 2]), "at node 2, which reads states 0 to 1"),
        "negative": (edge(["sep_conv_3x3", -1]), "at node 2, which reads states 0 to 1"),
        "truth": (edge(["sep_conv_3x3", True]), "has ['sep_conv_3x3', True]: give pairs"),
        "share": (edge(["sep_conv_3x3", 0.0]), "has ['sep_conv_3x3', 0.0]: give pairs"),
        "not a number": (edge(["sep_conv_3x3", float("nan")]), "has ['sep_conv_3x3', nan]: give pairs"),
        "weight": (edge(["sep_conv_3x3", 0, float("nan")]), "give pairs"),
        "four": (edge(["sep_conv_3x3", 0, 0.1, 0.2]), "give pairs"),
        "one": (edge(["sep_conv_3x3"]), "give pairs"),
        "swapped": (edge([0, "sep_conv_3x3"]), "give pairs"),
        "null": (edge(None), "has None: give pairs"),
        "text": (changed("normal", "sep_conv_3x3"), "normal of the genotype is 'sep_conv_3x3': give a list"),
        "too deep": (changed("normal", [by_node(normal)]), "has 4 edges: give two for each node"),
        "alone": (
            changed("normal", [*by_node(normal)[:3], by_node(normal)[3][:1]]),
            "node 5 in normal of the genotype has 1 edges",
        ),
        "edge twice": (edge(normal[1]), "node 2 of normal has 'sep_conv_3x3' of state 1 twice"),
    }


@pytest.mark.parametrize("kind", damaged_genotypes())
def test_a_damaged_genotype_is_one_line_that_says_what_is_wrong(kind: str, call: Call, tmp_path: Path) -> None:
    genotype, said = damaged_genotypes()[kind]
    with pytest.raises(RecordError) as caught:
        darts.from_genotype(genotype)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(RecordError, match=r"content\.json: ") as from_file:
        find_architecture(str(as_file(genotype, tmp_path)))
    with pytest.raises(RecordError) as typed:
        find_architecture(f"Genotype({', '.join(f'{key}={value!r}' for key, value in genotype.items())})")
    assert said.partition(":")[0].replace("[", "").replace("(", "")[:20] in str(typed.value).replace("[", "").replace(
        "(", ""
    )
    assert str(from_file.value).count("content.json") == 1
    answer = call("show", as_file(genotype, tmp_path))
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("|nor_conv_3x3~0|+|none~0|skip_connect~1|", "is not a NAS-Bench-201 cell: write |op~0|+"),
        (
            "|nor_conv3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|",
            "an operation 'nor_conv3x3': did you mean 'nor_conv_3x3'?",
        ),
        ("|none~0|+|none~0|none~2|+|none~0|none~1|none~2|", "its nodes read the states [[0], [0, 2], [0, 1, 2]]"),
        (
            "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|+|none~0|none~1|none~2|none~3|",
            "is not a NAS-Bench-201 cell",
        ),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none|", "node 3 is '|none~0|none~1|none|'"),
        ("none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "is not a NAS-Bench-201 cell"),
        (STRUCTURE[:2], "its nodes read the states [[0], [0, 1]]"),
        ([[("nor_conv_3x3", True)], *STRUCTURE[1:]], "is not a NAS-Bench-201 cell"),
        ([[("nor_conv_9x9", 0)], *STRUCTURE[1:]], "an operation 'nor_conv_9x9'"),
        ({"cell/0_1": "conv_3x3"}, "the operation from state 0 to 2, cell/0_2, is missing"),
        ({**{f"cell/{key}": value for key, value in NNI_201.items()}, "cell/0_1": "conv_9x9"}, "'nor_conv_9x9'"),
        ({"normal/op_2_0": "sep_conv_3x3"}, "'normal/input_2_0' is missing: give all 32 labels"),
        ({**nni_of(FIELDS, as_list=True), "normal/op_6_0": "none"}, "'normal/op_6_0' is not a label of NNI's DARTS"),
        ({**nni_of(FIELDS, as_list=True), "normal/input_2_0": [0, 1]}, "give pairs of an operation and the state"),
        ({**nni_of(FIELDS, as_list=True), "width": "wide"}, "width is 'wide': give a whole number"),
        ({"REGNET": {**REGNET_X, "WM": 1}}, "REGNET is not a rule of widths"),
        ({"REGNET": {**REGNET_X, "DEPTH": "deep"}}, "REGNET.DEPTH is 'deep': give a whole number"),
        ({"REGNET": {"DEPTH": 13}}, "REGNET.W0 is missing"),
        ({"REGNET": {**REGNET_X, "BOT_MUL": 4}}, "REGNET.BOT_MUL is 4: only 1.0 is supported"),
        ({"REGNET": {**REGNET_X, "GROUPW": 8}}, "REGNET.GROUPW is not a key of pycls: did you mean 'GROUP_W'?"),
        ({"REGNET": [1]}, "REGNET is [1]: give a mapping"),
        ({"MODEL": {"TYPE": "anynet"}}, "MODEL.TYPE is 'anynet': only 'regnet' is supported"),
        ("ds_r1_k3_s1", "'ds_r1_k3_s1' has no c"),
        (["ir_r2_k3_s2_e6_c24", "mha_r1_k3_s1_h4_d64_c160"], "is a block 'mha': of timm's blocks"),
        (["ir_r2_k3_s2_e1_c24"], "expands by 1: give more than 1, or the block ds"),
        (["ir_r2_k3_s2_e6_c24_gs8"], "has gs8, which no block of this library has"),
        (["ir_r2_k3_s2_e6_c24_q8"], "has 'q8'"),
        (["ir_r0_k3_s2_e6_c24"], "has r0: give an integer of at least 1"),
        (["ir_r2_k3_s2_e6_c24", 3], "arch_def has 3: give lists of strings"),
        ({"arch_def": A1, "act_layer": "swich"}, "act_layer is 'swich': did you mean 'swish'?"),
        ({"arch_def": []}, "arch_def is []: give lists of strings"),
        ({"ks": [7] * 20, "e": [6] * 20}, "'d' is missing: give ks, e and d"),
        ({"ks": [7] * 19, "e": [6] * 20, "d": [4] * 5}, "ks has 19 numbers: give 20"),
        ({"ks": [7] * 20, "e": [6] * 20, "d": [5] * 5}, "d[0] is 5: give one of 2, 3, 4"),
        ({"ks": [7] * 20, "e": [True] * 20, "d": [4] * 5}, "e[0] is True: give one of 3, 4, 6"),
        ({"d": [2] * 5, "e": [0.25] * 18, "w": [2] * 6}, "are of once-for-all's ResNet50"),
        ({"event": "finish", "number": 3}, "give the line of its start, or RUN#3"),
    ],
)
def test_what_is_damaged_of_others_is_one_line(content: Any, said: str, call: Call, tmp_path: Path) -> None:
    answer = call("profile", as_file(content, tmp_path))
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert said in answer.stderr
    assert answer.stderr.startswith(f"nas: {tmp_path}")


def test_a_genotype_is_shown_and_exported(call: Call, tmp_path: Path) -> None:
    genotype = PRINTED.replace("[2, 3, 4, 5]", "range(2, 6)")
    answer = call("show", genotype)
    assert answer.stdout.startswith("normal: (sep_conv_3x3~0, sep_conv_3x3~1)")
    assert "3,349,342 params" in answer.stdout
    assert call("export", genotype, "--to", "notation", "--out", tmp_path / "cell.txt").returncode == 0
    assert (tmp_path / "cell.txt").read_text(encoding="utf-8") == f"{PRINTED}\n"
