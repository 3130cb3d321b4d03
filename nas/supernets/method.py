"""Method: how one published search relaxes decisions and learns them. A new method is a new file next to this one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from nas.building import Node, Site
from nas.choice import Choice, rebuild
from nas.fields import Open
from nas.records import RecordError, record
from nas.supernets.bilevel import BatchOutcome, Step, first_order
from nas.supernets.derivation import Strengths, derive
from nas.supernets.gates import Gate, Gates, StepContext
from nas.supernets.policy import Policy


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of a search: `epochs` with its own `method`, on a network whose `network` options differ.

    Each `one_of` keeps its `options` strongest options so far, supernet-only options among them. With `keep_weights` the
    weights and alphas that fit are kept and the cosine of the learning rate continues; otherwise all start again. The
    alphas learn from epoch `alphas_from` on, counted from 0.
    """

    method: Method
    epochs: int
    options: int | None = None
    network: Mapping[str, Any] = field(default_factory=dict)
    keep_weights: bool = False
    alphas_from: int = 0


def divided(epochs: int, parts: int) -> list[int]:
    """Divide epochs evenly among the phases of a search; the remainder goes to the first ones.

    Raises RecordError where there are fewer epochs than phases.
    """
    if epochs < parts:
        raise RecordError(f"{epochs} epochs are fewer than the {parts} phases of the search: give more epochs")
    return [epochs // parts + (i < epochs % parts) for i in range(parts)]


class Method(ABC):
    """A search method with a supernet; a record, whose fields are its settings."""

    edge_weights: ClassVar[bool] = False
    """Whether the options of every `some_of` have their own weights; otherwise only those that no choice inside tells apart."""
    joint: ClassVar[bool] = False
    """Whether the alphas learn in the weights' own step, on the same images."""
    mixes_all: ClassVar[bool] = False
    """Whether every forward pass computes every option, so that cells may be executed in groups."""
    is_smooth: ClassVar[bool] = False
    """Whether the loss has a Hessian with respect to the alphas, which the monitor may measure."""

    @abstractmethod
    def policy(self, choices: Mapping[str, Choice]) -> Policy:
        """Return the policy, which holds the alphas, for the choices of a supernet by name."""

    @property
    def differentiates_steps(self) -> bool:
        """Whether the method differentiates through a step of the weights; recomputed or compiled cells do not allow that."""
        return False

    def relax(self, choice: Choice, site: Site, mixed: Callable[[Site], nn.Module]) -> nn.Module:
        """Return the module for a `one_of` at a site; `mixed` builds its mixture at the site it is given."""
        return mixed(site)

    def option(self, node: Node, module: nn.Module, gates: Gates) -> nn.Module:
        """Return the module for one option of a `one_of`: `module` itself, or a wrapper that may read the `gates`."""
        return module

    def phases(self, epochs: int, alphas_from: int) -> tuple[Phase, ...]:
        """Return the phases of a search of `epochs` epochs."""
        return (Phase(self, epochs, alphas_from=alphas_from),)

    def learn(self, step: Step) -> BatchOutcome:
        """Set the gradients of the policy's parameters; return the outcome on the alphas' batch, detached.

        The search reports that outcome as the loss and the accuracy on the alphas' images.
        """
        return first_order(step)

    def penalty(self, policy: Policy) -> Tensor | None:
        """Return the term that is added to the policy's loss, or None."""
        return None

    def after_step(self, policy: Policy, before: Sequence[Tensor], gates: Gates) -> None:
        """Correct the policy's parameters after a step of its optimizer, in place; by default, leave them.

        `before` has their values before the step, `gates` those of its forward pass.
        """
        return

    def derive(self, space: Any, policy: Policy, score: Callable[[Any], float], rng: Random) -> Any:
        """Return the derived architecture; `score` returns a path's accuracy on the alphas' images, in percent."""
        return self.derive_from(space, policy.strengths())

    def derive_from(self, space: Any, strengths: Strengths) -> Any:
        """Return the architecture derived from strengths, which may be those of an earlier epoch."""
        return derive(space, strengths)


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """The mixture `weights`, (choices, options); `active` lists the computed options per choice, if not all."""

    weights: Tensor
    active: Sequence[tuple[int, ...]] | None = None


class Differentiable(Method):
    """A method that learns one number, an alpha, for each option of each choice, by gradient."""

    mixes_all = True

    @abstractmethod
    def mix(self, alphas: Tensor, k: int, moment: StepContext) -> Mixture:
        """Return the mixture weights for choices with equally many options, from their `alphas` (choices, options).

        The derived architecture takes `k` options of each.
        """

    def strength(self, alphas: Tensor) -> Tensor:
        """Return the strength of each option, (choices, options), by which the architecture is derived."""
        return alphas.softmax(1)

    def policy(self, choices: Mapping[str, Choice]) -> Policy:
        return Alphas(self, choices)


@final
class Alphas(Policy):
    """The alphas: one matrix (choices, options) for all choices with equally many options, so that few kernels suffice.

    They are initialised as 0.001 times normal numbers, as in the released DARTS code; the paper starts from zeros.
    """

    def __init__(self, method: Differentiable, choices: Mapping[str, Choice]) -> None:
        super().__init__()
        self.method, self.choices = method, dict(choices)
        # by (number of options, k): each group is mixed by one call of `mix`
        self.groups: dict[tuple[int, int], list[str]] = {}
        for name, choice in choices.items():
            size = len(choice.options) + len(choice.supernet_only)
            self.groups.setdefault((size, choice.k or 1), []).append(name)
        self.matrices = nn.ParameterList(
            nn.Parameter(1e-3 * torch.randn(len(names), size)) for (size, _), names in self.groups.items()
        )

    def gates(self, moment: StepContext) -> dict[str, Gate]:
        gates = {}
        for ((size, k), names), alphas in zip(self.groups.items(), self.matrices, strict=True):
            mixture = self.method.mix(alphas, k, moment)
            # unbind once per matrix: its backward pass is one stack; indexing would add one node per option
            rows, scalars = mixture.weights.unbind(0), mixture.weights.flatten().unbind(0)
            for i, name in enumerate(names):
                active = mixture.active[i] if mixture.active is not None else tuple(range(size))
                gates[name] = Gate(active, rows[i], scalars[i * size : (i + 1) * size])
        return gates

    @torch.no_grad()
    def take_over(self, before: Policy) -> None:
        """Copy the alphas of the choices and options that `before` has too."""
        assert isinstance(before, Alphas)
        for name in self.choices.keys() & before.choices.keys():
            own, old = self._row(name), before._row(name)
            # options are matched by content, not by index: pruning shifts indices
            known = options_with_inner_names(before.choices[name])
            for i, option in enumerate(options_with_inner_names(self.choices[name])):
                if option in known:
                    own[i] = old[known.index(option)]

    def _row(self, name: str) -> Tensor:
        """Return the alphas of a choice, (options,), as a view of their matrix."""
        pairs = zip(self.groups.values(), self.matrices, strict=True)
        row: Tensor = next(alphas[names.index(name)] for names, alphas in pairs if name in names)
        return row

    def probabilities(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for names, alphas in zip(self.groups.values(), self.matrices, strict=True):
            found.update(zip(names, self.method.strength(alphas).unbind(0), strict=True))
        return found

    @torch.no_grad()
    def strengths(self) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for names, alphas in zip(self.groups.values(), self.matrices, strict=True):
            found.update(zip(names, self.method.strength(alphas).tolist(), strict=True))
        return found


@final
@record
class ChoiceName(Open):
    """A choice of which only the name is known."""

    name: str

    def stand_ins(self) -> Iterator[Any]:
        return iter(())


def options_with_inner_names(choice: Choice) -> list[Any]:
    """Return all options, with inner choices replaced by their names: pruning changes the options of those."""
    return [rebuild(each, lambda inner: ChoiceName(inner.name)) for each in (*choice.options, *choice.supernet_only)]
