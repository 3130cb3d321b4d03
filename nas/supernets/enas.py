"""ENAS: paths drawn by a controller that learns by REINFORCE. Pham et al. 2018, arXiv:1802.03268."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Annotated, Any, cast, final

import torch
from torch import Tensor, nn

from nas.choice import Choice, combination_index
from nas.records import Fraction, NonNegative, Positive, Range, record
from nas.space import resolve
from nas.supernets.bilevel import BatchOutcome, Step, set_gradients
from nas.supernets.gates import Gate, StepContext
from nas.supernets.method import Method
from nas.supernets.policy import Policy
from nas.supernets.sampling import best_of, gumbel


@record
class Enas(Method):
    """Train a path drawn by an LSTM in each step, and the LSTM by the accuracy of a drawn path (section 2.2).

    The reward is the accuracy on a batch plus `entropy_weight` times the entropy of the draw; the baseline is its moving
    average. The architecture is the best of `candidates` draws. The defaults are those of the released micro search, with
    one exception: it updates the controller 30 times an epoch from 10 draws each; here it is updated at each step of the
    weights, from one draw. The released code also divides the tanh constant by 2.5 for operations, and favours separable
    convolutions by an offset; here all choices are treated equally. Supernet-only options are never drawn.
    """

    edge_weights = True

    lstm_size: Positive = 64
    tanh_constant: Annotated[float, Range(1e-3)] = 1.1
    temperature: Annotated[float, Range(1e-3)] = 1.0
    entropy_weight: NonNegative = 1e-4
    baseline_decay: Fraction = 0.99
    candidates: Positive = 10

    def policy(self, choices: Mapping[str, Choice]) -> Policy:
        return EnasController(self, choices)

    def learn(self, step: Step) -> BatchOutcome:
        """Draw a path, and set the REINFORCE gradients of the controller; return the outcome of the path."""
        policy = cast(EnasController, step.policy)
        with torch.no_grad():
            outcome = step.outcome(step.alphas_batch)
        accuracy = outcome.hits / len(step.alphas_batch[1])
        step.all_reduce_mean([accuracy])
        log_probability, entropy = policy.judge()
        reward = accuracy + self.entropy_weight * entropy.detach()
        # REINFORCE with a moving-average baseline; the entropy acts through the reward only (it is detached).
        policy.baseline.lerp_(reward, 1 - self.baseline_decay)
        loss = -log_probability * (reward - policy.baseline)
        set_gradients(step.alphas, torch.autograd.grad(loss, step.alphas, allow_unused=True))
        return outcome

    def derive(self, space: Any, policy: Policy, score: Callable[[Any], float], rng: Random) -> Any:
        moment = StepContext(1.0, torch.Generator().manual_seed(rng.getrandbits(63)))
        return best_of((_architecture(space, policy.gates(moment)) for _ in range(self.candidates)), score)


def _architecture(space: Any, gates: Mapping[str, Gate]) -> Any:
    def decide(choice: Choice) -> int:
        picked = gates[choice.name].active
        return picked[0] if choice.k is None else combination_index(len(choice.options), picked)

    return resolve(space, decide)


@final
class EnasController(Policy):
    """An LSTM that decides choice by choice and reads its earlier decisions. Choices with equal options share their layers.

    For a `some_of` it draws k different options one after another, and feeds back the mean of their embeddings. Its
    strengths are the probabilities given that each earlier decision was the likeliest. `baseline` is the moving average
    of the rewards.
    """

    baseline: Tensor

    def __init__(self, method: Enas, choices: Mapping[str, Choice]) -> None:
        super().__init__()
        self.method, self.choices = method, dict(choices)
        options = [(choice.options, choice.k) for choice in choices.values()]
        kinds, read = list(dict.fromkeys(options)), dict.fromkeys(options[:-1])  # the last decision is not fed back
        self.kinds = [kinds.index(each) for each in options]
        self.picks = [choice.k or 1 for choice in choices.values()]
        size = method.lstm_size
        self.start = nn.Parameter(torch.empty(1, size))
        self.lstm = nn.LSTMCell(size, size)
        self.heads = nn.ModuleList(nn.Linear(size, len(each)) for each, _ in kinds)
        self.embeddings = nn.ModuleList(nn.Embedding(len(each), size) for each, _ in read)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)
        self.register_buffer("baseline", torch.zeros(()))
        self.drawn: list[Tensor] = []

    def gates(self, moment: StepContext) -> dict[str, Gate]:
        sizes = [len(choice.options) for choice in self.choices.values()]
        # the noise of all choices is drawn at once: one copy to the device instead of one per choice
        noise = torch.split(gumbel(self.start.new_empty(sum(sizes)), moment), sizes)
        with torch.no_grad():  # Gumbel-top-k: a draw without replacement
            _, self.drawn = self._decide(lambda i, logits: (logits + noise[i]).topk(self.picks[i]).indices)
        return {name: Gate(picked) for name, picked in zip(self.choices, self._ascending(self.drawn), strict=True)}

    def judge(self) -> tuple[Tensor, Tensor]:
        """Return the log-probability of the last draw and the entropy of its decisions, both ().

        For a `some_of` the entropy is that of the first of its k draws.
        """
        logits, _ = self._decide(lambda i, _: self.drawn[i])
        pairs = zip(logits, self.drawn, strict=True)
        log_probability = torch.stack([_log_probability(each, picked) for each, picked in pairs]).sum()
        entropy = torch.stack([-(each.softmax(0) * each.log_softmax(0)).sum() for each in logits]).sum()
        return log_probability, entropy

    @torch.no_grad()
    def strengths(self) -> dict[str, list[float]]:
        logits, _ = self._decide(lambda i, logits: logits.topk(self.picks[i]).indices)
        parts = iter(torch.cat([each.softmax(0) for each in logits]).tolist())
        return {
            name: [next(parts) for _ in choice.options] + [0.0] * len(choice.supernet_only)
            for name, choice in self.choices.items()
        }

    def _decide(self, pick: Callable[[int, Tensor], Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the logits (options,) of each choice, and the indices (k,) that `pick` returns for a choice and its logits."""
        all_logits, picked, state, x = [], [], None, self.start
        with torch.autocast(x.device.type, enabled=False):
            for i, kind in enumerate(self.kinds):
                state = self.lstm(x, state)
                # bounded logits, against premature convergence to one option
                logits = self.method.tanh_constant * (self.heads[kind](state[0])[0] / self.method.temperature).tanh()
                all_logits.append(logits)
                picked.append(pick(i, logits))
                if i + 1 < len(self.kinds):
                    x = self.embeddings[kind](picked[-1]).mean(0, keepdim=True)
        return all_logits, picked

    def _ascending(self, picked: Sequence[Tensor]) -> list[tuple[int, ...]]:
        """Return the picked options of each choice in ascending order; the only place that waits for the device."""
        flat = iter(torch.cat(list(picked)).tolist())
        return [tuple(sorted(next(flat) for _ in range(k))) for k in self.picks]


def _log_probability(logits: Tensor, picked: Tensor) -> Tensor:
    """Return the log-probability of drawing these indices in this order, without replacement."""
    # k for the option drawn first, k - 1 for the next, ...; 0 for those not drawn
    turn = torch.zeros_like(logits).scatter(0, picked, torch.arange(len(picked), 0, -1).to(logits))
    ordered = logits[turn.argsort(descending=True)]  # drawn options first, in the order of drawing
    left = ordered.flip(0).logcumsumexp(0).flip(0)  # log-sum-exp over the options not drawn yet
    return (ordered - left)[: len(picked)].sum()
