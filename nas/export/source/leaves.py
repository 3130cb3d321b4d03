"""Leaves: torch layers, weights and buffers, as the calls that make them."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from nas.export.source.forward import NotExpressible
from nas.export.source.terms import NEEDED, Argument, Call, Literal, Name, Term, is_literal

_SHAPE = "normalized_shape"
# arguments that layers keep as tuples; with equal entries they are written as one number
_PAIRS = frozenset(("kernel_size", "stride", "padding", "dilation", "output_size", "output_padding", _SHAPE))
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
_VALUES = 64
"""The largest number of values of a buffer that are written out."""


def is_torch(module: nn.Module) -> bool:
    """Return whether a module is a torch layer, and no container."""
    containers = nn.Sequential | nn.ModuleList | nn.ModuleDict | nn.ParameterList | nn.ParameterDict
    return type(module).__module__.startswith("torch.nn.") and not isinstance(module, containers)


def leaf(module: nn.Module) -> Term:
    """Return the call that makes a torch layer; arguments that equal their defaults are left out when it is written."""
    signature = _signature(cast(Any, type(module)))
    values = {name: _argument(module, name, default) for name, default in signature}
    _check(module, values)
    arguments = [
        Argument(Literal(values[name], name), "" if default is NEEDED else name, default) for name, default in signature
    ]
    return Call(f"nn.{type(module).__name__}", tuple(arguments))


def refuse_hidden(module: nn.Module) -> None:
    """Raise NotExpressible where a module, or a submodule of a torch layer, is parametrized or has hooks."""
    for part in module.modules() if is_torch(module) else [module]:
        if is_parametrized(part):
            names = ", ".join(cast(Any, part).parametrizations)
            raise NotExpressible(f"its {names} is parametrized: compute it in a forward")
        hooks = [each for kind in _HOOKS for each in getattr(part, kind).values()]
        if hooks:
            name = getattr(hooks[0], "__name__", type(hooks[0]).__name__)
            raise NotExpressible(f"it has the hook {name}: move its code into a forward")


def _check(module: nn.Module, values: dict[str, Any]) -> None:
    """Raise NotExpressible where a layer made with these arguments has weights of other names or shapes."""
    kind = type(module).__name__
    if getattr(nn, kind, None) is not type(module):
        raise NotExpressible(f"torch.nn has no {kind}: use one of its layers")
    try:
        with torch.device("meta"):  # shapes only: no memory, no random numbers
            lost = _shapes(module) ^ _shapes(type(module)(**values))
    except (TypeError, ValueError, RuntimeError) as error:
        raise NotExpressible(f"its {kind} cannot be constructed again: {error}") from None
    if lost:
        names = ", ".join(sorted({name for name, _ in lost}))
        raise NotExpressible(f"{names} of its {kind} cannot be derived from its attributes: write a custom layer")


def _shapes(module: nn.Module) -> set[tuple[str, torch.Size]]:
    return {(name, tensor.shape) for name, tensor in module.state_dict().items()}


@cache
def _signature(cls: Any) -> tuple[tuple[str, Any], ...]:
    parameters = list(inspect.signature(cls).parameters.values())
    named = [each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    kept = [each for each in named if each.name not in ("device", "dtype")]
    return tuple((each.name, NEEDED if each.default is each.empty else each.default) for each in kept)


def _argument(module: nn.Module, name: str, default: Any) -> Any:
    if name == "bias" and isinstance(default, bool):
        return any(key.endswith("bias") for key, _ in module.named_parameters())
    value = getattr(module, name, default)
    if isinstance(value, tuple) and name in _PAIRS and len(set(value)) == 1 and (len(value) == 1 or name != _SHAPE):
        value = value[0]
    if value is NEEDED or not is_literal(value):
        raise NotExpressible(f"the {name} of its {type(module).__name__} cannot be read from the module")
    return value


def parameter(initial: Tensor) -> Term:
    """Return the call that makes a weight initialised like `initial`: constant, or normal with the same deviation."""
    return Call("nn.Parameter", (Argument(full(initial.detach())),))


def full(values: Tensor) -> Term:
    """Return the call that makes a constant tensor, or a normal one with the standard deviation of `values`."""
    sizes = tuple(Argument(Literal(size, "channels")) for size in values.shape)
    low, high = (float(values.min()), float(values.max())) if values.numel() else (0.0, 0.0)
    if low == high and low in (0.0, 1.0):
        return Call("torch.zeros" if low == 0.0 else "torch.ones", sizes)
    empty = Argument(Call("torch.empty", sizes))
    if low == high:
        return Call("nn.init.constant_", (empty, Argument(Literal(float(f"{low:.6g}"), "value"))))
    # one digit, since the deviation of a sample only estimates that of the distribution
    return Call("nn.init.normal_", (empty, Argument(Literal(float(f"{float(values.std()):.1g}"), "std"), "std")))


def buffer(name: str, values: Tensor | None, is_saved: bool) -> Term:
    """Return the call that registers a buffer. Raises NotExpressible for one with many values that is not saved."""
    ending = () if is_saved else (Argument(Name("persistent=False")),)
    if values is None:
        made: Term = Literal(None)
    elif values.numel() <= _VALUES and not values.is_meta:
        made = Call("torch.tensor", (Argument(Literal(values.tolist())), Argument(Name(f"dtype={values.dtype}"))))
    elif is_saved:
        typed = () if values.dtype == torch.float32 else (Argument(Name(f"dtype={values.dtype}")),)
        made = Call("torch.zeros", (*(Argument(Literal(size)) for size in values.shape), *typed))
    else:
        raise NotExpressible(f"its buffer {name} has {values.numel()} values and is not saved: make it persistent")
    return Call("self.register_buffer", (Argument(Literal(name)), Argument(made), *ending))
