"""The recipe of version 0.1, whose fields of optimizer, schedule and augmentation were fields of the recipe itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from nas.data import Augmentation
from nas.plain import tag_of
from nas.records import written
from nas.training.optimizers import Adam, AdamW, Sgd
from nas.training.schedules import ConstantRate, CosineDecay, LinearDecay, StepDecay

KINDS: Mapping[str, Mapping[str, type]] = {
    "optimizer": {"sgd": Sgd, "adam": Adam, "adamw": AdamW},
    "schedule": {"cosine": CosineDecay, "linear": LinearDecay, "step": StepDecay, "constant": ConstantRate},
    "augmentation": {"": Augmentation},
}
"""The record behind each text of version 0.1; the first of a field is that of the default recipes."""

FORMER: Mapping[type, Mapping[str, str]] = {
    Sgd: {"momentum": "momentum", "nesterov": "nesterov"},
    Adam: {"momentum": "beta1", "beta2": "beta2"},
    AdamW: {"momentum": "beta1", "beta2": "beta2"},
    CosineDecay: {"final_lr": "final_lr"},
    LinearDecay: {"final_lr": "final_lr"},
    StepDecay: {"decay": "factor", "decay_every": "every_epochs"},
    ConstantRate: {},
    Augmentation: {each.name: each.name for each in fields(Augmentation) if each.name != "color_noise"},
}
"""The former names of each record's fields, and today's."""


def nest(flat: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the plain fields of a recipe with former ones moved into `optimizer`, `schedule` and `augmentation`.

    Fields that version 0.1 ignored, such as `decay` where the schedule was a cosine, are left out.
    """
    nested = dict(flat)
    for place, kinds in KINDS.items():
        values = {name: nested.pop(name) for cls in kinds.values() for name in FORMER[cls] if name in nested}
        value = nested.get(place)
        if isinstance(value, str) and value in kinds:
            value = {kinds[value].__name__: {}}
        elif not values or not isinstance(value, str | Mapping | None):
            continue  # nothing former in it, or wrong, which the reader says
        tag, inside = _tagged(value)
        cls = next((each for each in kinds.values() if each.__name__ == tag), next(iter(kinds.values())))
        # nesterov: true of Adam is kept, for the reader to refuse
        moved = {
            FORMER[cls].get(name, name): each for name, each in values.items() if name in FORMER[cls] or each is True
        }
        nested[place] = {tag: {**inside, **moved}} if tag else {**inside, **moved}
    return nested


def _tagged(value: str | Mapping[str, Any] | None) -> tuple[str, Mapping[str, Any]]:
    """Return the class name in the plain form of a record, empty where it is left out, and its fields."""
    if isinstance(value, str):
        return value, {}
    plain = value or {}
    tag = tag_of(plain)
    inside = plain[tag] if tag else plain
    return tag, inside if isinstance(inside, Mapping) else {}


def former_form(recipe: Any) -> Mapping[str, Any]:
    """Return the plain form of a recipe in version 0.1, by whose digest its checkpoints are named."""
    cls, unset = type(recipe), {}
    for kinds in KINDS.values():
        for kind in kinds.values():
            unset.update({name: getattr(kind(), own) for name, own in FORMER[kind].items()})
    # fields of the kinds that the recipe does not have were at their defaults in the flat form
    default = {**unset, **_flat(cls())}
    own = {name: value for name, value in written(recipe) if name not in KINDS}
    return {cls.__name__: {**own, **{n: value for n, value in _flat(recipe).items() if value != default[n]}}}


def _flat(recipe: Any) -> dict[str, Any]:
    """Return the former fields of a recipe's optimizer, schedule and augmentation, defaults included."""
    flat: dict[str, Any] = {}
    for place, kinds in KINDS.items():
        value = getattr(recipe, place)
        flat[place] = next((text for text, cls in kinds.items() if cls is type(value)), "")
        flat |= {name: getattr(value, own) for name, own in FORMER.get(type(value), {}).items()}
    return flat
