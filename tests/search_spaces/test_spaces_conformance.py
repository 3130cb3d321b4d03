"""Every family, every published architecture and every operation that is found does what its protocol promises."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from inspect import signature
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
import yaml
from torch import Tensor
from torch.nn import functional

from nas.building import BuildError, Node, Shape, Site, build
from nas.family import Family, families, family, published
from nas.operations.skip import Skip, Zero
from nas.plain import from_plain
from nas.profiling import profile
from nas.records import RecordError, digest, import_all, record_classes, to_plain
from nas.space import (
    SpaceError,
    choices,
    count,
    decisions,
    resolve,
    sample,
)
from nas.testing import nodes, spaces
from search_spaces.darts import darts
from search_spaces.nasbench201 import nasbench201

import_all("nas.operations")

ROOT = Path(__file__).resolve().parents[2]

FAMILIES = families()
PUBLISHED = [f"{name}:{member}" for name, found in FAMILIES.items() for member in found.published]
SMALL = {"channels": 8, "layers": 3, "cells_per_stage": 1, "stem_channels": 8, "classes": 10}
"""Arguments that make a network small, for the families whose network has them."""

SIZES = (16, 32, 64, 80, 96, 128, 224)
"""The sizes of images in pixels to try a network on."""

every_family = pytest.mark.parametrize("name", FAMILIES)
every_published = pytest.mark.parametrize("name", PUBLISHED)


pytestmark = pytest.mark.usefixtures("one_thread")


@cache
def space_of(name: str) -> Any:
    return FAMILIES[name].space()


def samples(name: str, number: int = 3) -> list[Any]:
    rng = Random(0)
    return [sample(space_of(name), rng) for _ in range(number)]


def small_network(found: Family, architecture: Any) -> Node:
    """Stack an architecture to a small network; skips the test where the family says that it has none."""
    arguments = {key: value for key, value in SMALL.items() if key in signature(found.network).parameters}
    try:
        return found.network(architecture, **arguments)
    except BuildError as error:
        pytest.skip(str(error))


def records_in(plain: Any) -> set[str]:
    if isinstance(plain, dict):
        return set(plain).union(*map(records_in, plain.values()))
    return set().union(*map(records_in, plain)) if isinstance(plain, list) else set()


def smallest_images(network: Node, channels: int) -> int:
    """Return the size in pixels of the smallest images that a network takes."""
    for pixels in SIZES:
        try:
            profile(network, (channels, pixels, pixels))
        except (BuildError, RuntimeError):
            continue
        return pixels
    pytest.fail(f"takes no images of {SIZES} pixels")


def gradients_of(network: Node, input: Shape, device: str = "cpu") -> dict[str, Tensor | None]:
    """Run a network forward and backward, with all heads, and return every parameter's gradient."""
    with torch.device(device):
        model = build(network, input)
        output = model(torch.randn(4, *input))
        labels = torch.tensor([0, 3, 9, 3], device=device)
    for logits in output if isinstance(output, tuple) else (output,):
        assert logits.shape == (4, 10)
        functional.cross_entropy(logits, labels).backward(retain_graph=True)
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def assert_trains(network: Node, may_vanish: bool, channels: int = 3) -> None:
    """Check that a network has a gradient everywhere; where nothing is cut off, with one of three seeds it is not zero."""
    vanished: set[str] | None = None
    pixels = smallest_images(network, channels)
    for seed in range(3):
        torch.manual_seed(seed)
        gradients = gradients_of(network, (channels, pixels, pixels))
        assert gradients
        assert not [name for name, gradient in gradients.items() if gradient is None]
        assert all(gradient.isfinite().all() for gradient in gradients.values() if gradient is not None)
        zeros = {name for name, gradient in gradients.items() if gradient is not None and not gradient.any()}
        vanished = zeros if vanished is None else vanished & zeros
        if may_vanish or not vanished:
            return
    assert not vanished


# ---------------------------------------------------------------------------------------------------- families


@every_family
def test_a_family_says_what_it_is(name: str) -> None:
    assert FAMILIES[name].source
    assert family(name) is FAMILIES[name]


@every_family
def test_a_space_has_choices_and_more_than_one_architecture(name: str) -> None:
    assert choices(space_of(name))
    assert count(space_of(name)) > 1


@every_family
@pytest.mark.parametrize("check", spaces.CHECKS, ids=lambda check: check.__name__)
def test_what_holds_for_every_space(check: Callable[[Family], None], name: str) -> None:
    check(FAMILIES[name])


@every_family
def test_samples_have_digests_and_descriptions_of_their_own(name: str) -> None:
    found = samples(name, 20)
    assert len({digest(each) for each in found}) == len(set(found))
    assert len({FAMILIES[name].describe(each) for each in found}) == len(set(found))
    assert all("\n" not in FAMILIES[name].describe(each) for each in found)


@every_family
@pytest.mark.parametrize("number", [0, *(pytest.param(i, marks=pytest.mark.slow) for i in (1, 2))])
def test_sampled_networks_train(name: str, number: int) -> None:
    architecture = samples(name)[number]
    # what a zero cuts off, and what a skip that begins with the weight 0 reads, has no gradient; nor has the half of a skip
    # that is shifted out of a map of one pixel, as this space has it of the smallest images
    cut_off = not {"Zero", "LayerScale"}.isdisjoint(records_in(to_plain(architecture))) or name == "transnas_micro"
    assert_trains(small_network(FAMILIES[name], architecture), may_vanish=cut_off)


@every_family
def test_a_network_has_parameters_with_defaults(name: str) -> None:
    _, *others = signature(FAMILIES[name].network).parameters.values()
    assert all(each.default is not each.empty for each in others)
    assert all(each.default is not each.empty for each in signature(FAMILIES[name].space).parameters.values())


def test_an_unknown_family_is_named_with_the_nearest() -> None:
    with pytest.raises(
        RecordError, match=r"^there is no space 'dart': did you mean 'darts'\?; for a space of your own"
    ):
        family("dart")


# ---------------------------------------------------------------------------------------------------- published


def small_published(name: str) -> tuple[Node, Shape]:
    """Return a published network for 10 classes, and the shape of its images."""
    found, architecture = published(name)
    return small_network(found, architecture), found.input_of(name.partition(":")[2])


@pytest.mark.slow
@every_published
def test_a_published_architecture_passes_gradients_to_every_weight(name: str) -> None:
    gradients = gradients_of(*small_published(name), "meta")  # shapes and the graph, nothing is computed
    assert gradients
    assert not [member for member, gradient in gradients.items() if gradient is None]


def weighed(names: list[str]) -> list[Any]:
    """Return names as parameters of a test, which is slow for those with many weights or of unknown size."""
    tables = {
        path.stem: yaml.safe_load(path.read_text("utf-8"))
        for path in (ROOT / "tests" / "search_spaces" / "networks").glob("*.yaml")
    }
    kept = []
    for name in names:
        family_name, _, member = name.partition(":")
        row = tables.get(family_name, {}).get(member, {"params_m": 0})
        is_large = row.get("params_m", row.get("params", 0) / 1e6) > 1 or row.get("gmacs", 0) > 0.2
        kept.append(pytest.param(name, marks=pytest.mark.slow if is_large else ()))
    return kept


@pytest.mark.slow
@pytest.mark.parametrize("name", weighed(PUBLISHED))
def test_a_published_architecture_trains(name: str) -> None:
    _, architecture = published(name)
    network, input = small_published(name)
    assert_trains(network, may_vanish="Zero" in records_in(to_plain(architecture)), channels=input[0])


@every_published
def test_a_published_architecture_comes_back_from_json(name: str) -> None:
    found, architecture = published(name)
    assert not choices(architecture)
    assert from_plain(json.loads(json.dumps(to_plain(architecture)))) == architecture
    assert found.describe(architecture)


@every_published
def test_a_published_architecture_is_a_member_or_its_space_says_why_not(name: str) -> None:
    found, architecture = published(name)
    try:
        taken = decisions(found.space(), architecture)
    except SpaceError as error:
        reason = str(error)
    else:
        reason = ""
        assert resolve(found.space(), lambda choice: taken[choice.name]) == architecture
    assert not reason or reason.startswith("not a member of the space: ")


@pytest.mark.parametrize("name", ["DARTS_V1", "DARTS_V2", "PC_DARTS_cifar", "PC_DARTS_image", "PDARTS"])
def test_what_was_found_in_the_space_of_darts_is_a_member(name: str) -> None:
    assert decisions(darts(), published(f"darts:{name}")[1])


@pytest.mark.parametrize("name", FAMILIES["nasbench201"].published)
def test_cells_of_nasbench201_are_members(name: str) -> None:
    assert decisions(nasbench201(), published(f"nasbench201:{name}")[1])


def test_an_unknown_architecture_is_named_with_the_nearest() -> None:
    with pytest.raises(RecordError, match=r"^darts has no architecture 'DARTS_V3': did you mean 'DARTS_V\d'\?$"):
        published("darts:DARTS_V3")


# ---------------------------------------------------------------------------------------------------- operations


def alternatives(hint: Any) -> tuple[Any, ...]:
    """Return values of a field that differ in kind: odd sizes, every word, both truths."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) is Literal:
        return get_args(hint)
    return {int: (1, 3, 5), bool: (False, True)}.get(hint, ())


def variants(cls: Any) -> list[Any]:
    """Return an operation with its defaults, with one field changed, and with two."""
    hints = get_type_hints(cls, include_extras=True)
    found = {cls()}
    for _ in range(2):
        found |= {
            made
            for operation in found
            for field in fields(cls)
            for value in alternatives(hints[field.name])
            if (made := _or_none(operation, field.name, value)) is not None
        }
    return sorted(found, key=repr)


def _or_none(operation: Any, name: str, value: Any) -> Any:
    try:
        return replace(operation, **{name: value})
    except RecordError:
        return None


OPERATIONS = [
    operation
    for cls in record_classes(Node).values()
    if cls.__module__.startswith("nas.operations.")
    for operation in variants(cls)
]
every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=repr)


@every_operation
@pytest.mark.parametrize("check", nodes.CHECKS, ids=lambda check: check.__name__)
def test_what_holds_for_every_operation(check: Callable[[Node], None], operation: Node) -> None:
    check(operation)


@pytest.mark.parametrize(
    "cls",
    sorted({type(each) for each in OPERATIONS if hasattr(each, "kernel")}, key=repr),
    ids=lambda cls: cls.__name__,
)
def test_an_even_kernel_is_refused_or_gives_the_shape_that_it_says(cls: Any) -> None:
    for site in nodes.SITES:
        try:
            operation = cls(kernel=2)
            module = site.build(operation)
        except RecordError:
            continue
        assert tuple(module(torch.randn(2, *site.shape)).shape[1:]) == operation.shape(site), site


def test_zero_gives_zeros_and_skip_the_input() -> None:
    site, x = Site((8, 8, 8), 8), torch.randn(2, 8, 8, 8)
    assert not site.build(Zero())(x).any()
    assert site.build(Skip())(x) is x
