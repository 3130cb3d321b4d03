"""The LSTM of a controller, and its training. T decisions, K ways to take one, U units."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Self, final

import torch
from torch import Tensor, nn

from nas.choice import Choice
from nas.strategies.controllers.controller import Optimizer, Path, Policy, PolicyLoss, Sample

State = tuple[Tensor, Tensor]
"""The hidden and the cell state of an LSTM, both (layers, U)."""


@final
class DecisionLstm(nn.Module):
    """An LSTM over the decisions of an architecture, with an output layer and an embedding for each kind of choice.

    `kinds` has the number of the kind of each choice, by the choice's name.
    All is in float64: whatever the number of threads, rounding is far too small to change what is drawn.
    """

    def __init__(self, choices: Mapping[str, Choice], units: int, layers: int, is_shared: bool) -> None:
        super().__init__()
        kinds = {name: (choice.options, choice.k) if is_shared else name for name, choice in choices.items()}
        numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kinds.values()))}
        self.kinds = {name: numbers[kind] for name, kind in kinds.items()}
        arities = {self.kinds[name]: choice.arity for name, choice in choices.items()}
        with torch.random.fork_rng(devices=[]):  # what torch draws here is replaced, and must cost nobody else a number
            self.start = nn.Parameter(torch.empty(1, units, dtype=torch.float64))
            self.lstm = nn.LSTM(units, units, layers, dtype=torch.float64)
            self.outputs = nn.ModuleList(nn.Linear(units, each, dtype=torch.float64) for each in arities.values())
            self.embeddings = nn.ModuleList(nn.Embedding(each, units, dtype=torch.float64) for each in arities.values())

    def initialized(self, seed: str, bound: float) -> Self:
        """Draw every weight uniformly within +- `bound`, from a text."""
        generator = torch.Generator().manual_seed(Random(seed).getrandbits(63))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
        return self

    def embedded(self, choice: Choice, decision: int) -> Tensor:
        """Return the embedding of a decision, (1, U)."""
        weight: Tensor = self.embeddings[self.kinds[choice.name]].weight  # type: ignore[assignment]
        return weight[decision : decision + 1]

    def logits(self, output: Tensor, choice: Choice) -> Tensor:
        """Return the logits of a choice, (K,), from an output of the LSTM, (U,)."""
        made: Tensor = self.outputs[self.kinds[choice.name]](output)
        return made

    def forward(self, path: Path) -> tuple[Tensor, Tensor]:
        """Return the log-probability of an architecture and the sum of its decisions' entropies, both ()."""
        inputs = torch.cat([self.start, *(self.embedded(*each) for each in path[:-1])])
        outputs, _ = self.lstm(inputs)  # (T, U)
        log_probability = entropy = torch.zeros((), dtype=torch.float64)
        for output, (choice, decision) in zip(outputs, path, strict=True):
            logs = self.logits(output, choice).log_softmax(0)
            log_probability = log_probability + logs[decision]
            entropy = entropy - (logs.exp() * logs).sum()
        return log_probability, entropy


@final
class LstmPolicy(Policy):
    """The distribution that a DecisionLstm gives, trained by Adam or SGD."""

    def __init__(self, network: DecisionLstm, optimizer: Optimizer, lr: float) -> None:
        self.network = network
        self.optimizer = {"Adam": torch.optim.Adam, "SGD": torch.optim.SGD}[optimizer](network.parameters(), lr=lr)

    def drawing(self, rng: Random) -> Callable[[Choice], int]:
        network, state = self.network, None
        x: Tensor = network.start

        @torch.no_grad()
        def decide(choice: Choice) -> int:
            nonlocal x, state
            output, state = network.lstm(x, state)
            probabilities = network.logits(output[0], choice).softmax(0).tolist()
            decision = rng.choices(range(choice.arity), probabilities)[0]
            x = network.embedded(choice, decision)
            return decision

        return decide

    @torch.no_grad()
    def log_probability(self, path: Path) -> float:
        return float(self.network(path)[0])

    def descend(self, samples: Sequence[Sample], loss: PolicyLoss) -> None:
        self.optimizer.zero_grad()
        for sample in samples:
            log_probability, entropy = self.network(sample.path)
            slope = loss.slope(sample, log_probability.item())
            # its gradient is that of the loss
            ((slope * log_probability - loss.entropy * entropy) / len(samples)).backward()
        self.optimizer.step()
