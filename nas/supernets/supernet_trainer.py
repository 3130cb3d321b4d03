"""One epoch of a search: batch by batch, a step of the alphas on their images, then a step of the weights on theirs."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from random import Random
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Adam

from nas.data import Images, Split, augment
from nas.data.batch_random import BatchRandom
from nas.data.color_noise import color_axes
from nas.data.crops import RandomCrop
from nas.data.encoded import Encoded
from nas.data.feed import load_batches, near
from nas.evaluation.training import teacher_of
from nas.records import RecordError
from nas.supernets.bilevel import Batch, BatchOutcome, Step
from nas.supernets.elastic_method import Elastic, ElasticNet, ElasticStep
from nas.supernets.expected_cost import Expectation
from nas.supernets.gates import StepContext
from nas.supernets.method import Phase
from nas.supernets.recipe import SupernetSearch
from nas.supernets.supernet import Supernet
from nas.training import (
    Diverged,
    Execution,
    autocast,
    in_batches,
    make_optimizer,
    memory_format,
    mixed_seed,
    seeded,
    stream,
    to_device,
)
from nas.training.peers import Peers

TEACHER = "supernet.weights.distillation.teacher"
"""The key of the trained network that teaches."""


@dataclass(frozen=True, slots=True)
class EpochMeans:
    """Means over an epoch, accuracies in percent; those on the alphas' images are None where the alphas did not learn there."""

    loss: float
    top1_percent: float
    alphas_loss: float | None
    alphas_top1_percent: float | None


@final
class SupernetTrainer:
    """The training of a supernet in one phase of a search: its optimizers, and the images on the device.

    `cosine` is how many epochs of the learning rate's cosine are over before the phase, and how many it has in total;
    `expectation` is the supernet's expected cost, if the search has a `cost`.
    """

    def __init__(
        self,
        supernet: Supernet | ElasticNet,
        declared: SupernetSearch,
        phase: Phase,
        split: Split,
        seed: int,
        peers: Peers,
        cosine: tuple[int, int] | None = None,
        expectation: Expectation | None = None,
    ) -> None:
        self.weight = declared.cost.weight if declared.cost else 0.0
        self.expectation = expectation
        self.supernet, self.phase, self.split, self.seed, self.peers = supernet, phase, split, seed, peers
        self.before, self.epochs = cosine or (0, phase.epochs)
        self.recipe = declared.weights
        self.device = next(supernet.model.parameters()).device
        self.weights, self.alphas = list(supernet.model.parameters()), list(supernet.policy.parameters())
        self.optimizer = make_optimizer(self.weights, self.recipe)
        how = declared.alphas
        betas = how.beta1, how.beta2
        self.alphas_optimizer = Adam(self.alphas, how.lr, betas, weight_decay=how.weight_decay) if self.alphas else None
        self.images, self.alphas_images = (near(images, self.device) for images in (split.train, split.validation))
        self.axes = color_axes(split.train).to(self.device) if self.recipe.augmentation.color_noise else None
        self.teacher = teacher_of(self.recipe.distillation, split, TEACHER)
        if self.teacher is not None:
            to_device(self.teacher, self.recipe, self.device).eval()
        peers.broadcast(list(supernet.state_dict().values()))  # equal by seed, but different CPUs may round differently

    def state(self) -> dict[str, Any]:
        """Return the optimizers' states, for a checkpoint."""
        alphas = self.alphas_optimizer.state_dict() if self.alphas_optimizer else None
        return {"optimizer": self.optimizer.state_dict(), "alphas_optimizer": alphas}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the optimizers' states from a checkpoint."""
        self.optimizer.load_state_dict(state["optimizer"])
        if self.alphas_optimizer:
            self.alphas_optimizer.load_state_dict(state["alphas_optimizer"])

    def epoch(self, done: int, number: int, frozen: bool = False) -> EpochMeans:
        """Train one epoch: `done` epochs of the phase are over; `number` is the epoch in the search and seeds all draws.

        With `frozen` only the weights learn.
        """
        self.supernet.train()
        self._set_lr(done)
        draws = _SearchRandom(self, number)
        learns = self.alphas_optimizer is not None and done >= self.phase.alphas_from and not frozen
        parts = draws.order("order", self.images)
        other = draws.order("alphas order", self.alphas_images) if learns and not self.phase.method.joint else ()
        alphas_parts = [other[i % len(other)] for i in range(len(parts) if other else 0)]
        tally, alphas_tally = SupernetSums(self.device, len(parts)), SupernetSums(self.device, len(parts))
        progress = done / self.phase.epochs
        sharers = 2 if other else 1
        with (
            seeded(mixed_seed(self.seed, "layers", number, self.peers.rank), self.device),
            closing(draws.batches(self.images, parts, "augmentation", sharers)) as coming,
            closing(draws.batches(self.alphas_images, alphas_parts, "alphas augmentation", sharers)) as alphas_coming,
        ):
            for batch in coming:
                if other:
                    alphas_batch = next(alphas_coming)
                    self.supernet.moment = StepContext(progress, draws.gates, for_alphas=True)
                    self._learn(batch, alphas_batch, alphas_tally)
                self.supernet.moment = StepContext(progress, draws.gates)
                self._train(batch, tally, joint=learns and self.phase.method.joint, gates=draws.gates)
        loss, top1 = tally.means(self.peers, number + 1)
        return EpochMeans(loss, top1, *(alphas_tally.means(self.peers, number + 1) if other else (None, None)))

    def _learn(self, batch: Batch, alphas_batch: Batch, tally: SupernetSums) -> None:
        """Update the policy on the alphas' batch."""
        group = self.optimizer.param_groups[0]
        step = Step(
            model=self.supernet.model,
            policy=self.supernet.policy,
            weights_batch=batch,
            alphas_batch=alphas_batch,
            outcome=self.outcome,
            penalty=self._penalty,
            lr=group["lr"],
            momentum=self.recipe.optimizer.momentum,
            weight_decay=self.recipe.weight_decay,
            velocities=[self.optimizer.state[each].get("momentum_buffer") for each in self.weights],
            all_reduce_mean=self.peers.all_reduce_mean,
            workers=self.peers.size,
            nesterov=self.recipe.optimizer.nesterov,
        )
        tally.add(self.phase.method.learn(step), len(alphas_batch[1]))
        self._step_alphas()

    def _train(self, batch: Batch, tally: SupernetSums, joint: bool, gates: torch.Generator) -> None:
        """Update the weights on their batch; with `joint` the policy too."""
        if isinstance(self.supernet, ElasticNet):
            self.optimizer.zero_grad()
            tally.add(self._add_elastic_gradients(self.supernet, batch, gates), len(batch[1]))
            self._step_weights()
            return
        outcome = self.outcome(batch)
        tally.add(outcome, len(batch[1]))
        penalty = self._penalty() if joint else None
        learning = [*self.weights, *self.alphas] if joint else self.weights
        self.optimizer.zero_grad()
        # alphas are not in this optimizer: a joint step must not add to their old gradients
        for alpha in self.alphas:
            alpha.grad = None
        loss = outcome.loss if penalty is None else outcome.loss + penalty
        # `inputs` skips the gradients of the alphas in a step of the weights alone
        torch.autograd.backward(loss, inputs=learning)
        self._step_weights()
        if joint:
            self._step_alphas()

    def _add_elastic_gradients(self, net: ElasticNet, batch: Batch, gates: torch.Generator) -> BatchOutcome:
        def run(architecture: Any) -> Tensor:
            with autocast(self.recipe, self.device):
                return _full_precision(net.model(batch[0], architecture))

        def taught() -> Tensor:
            with torch.no_grad(), autocast(self.recipe, self.device):
                return _full_precision(net.keep_teacher()(batch[0]))

        def outcome(logits: Tensor) -> BatchOutcome:
            return self._outcome(logits, batch)

        assert isinstance(self.phase.method, Elastic)
        rng = Random(int(torch.randint(2**62, (), generator=gates)))
        return self.phase.method.add_gradients(ElasticStep(net, run, outcome, taught, rng, net.moment.progress))

    def _step_weights(self) -> None:
        self.peers.all_reduce_mean([each.grad for each in self.weights if each.grad is not None])
        if self.recipe.clip is not None:
            nn.utils.clip_grad_norm_(self.weights, self.recipe.clip)
        self.optimizer.step()

    def _step_alphas(self) -> None:
        self.peers.all_reduce_mean([each.grad for each in self.alphas if each.grad is not None])
        assert self.alphas_optimizer is not None
        before = [each.detach().clone() for each in self.alphas]
        self.alphas_optimizer.step()
        self.phase.method.after_step(self.supernet.policy, before, self.supernet.gates)

    def _penalty(self) -> Tensor | None:
        """Return the method's penalty and the expected cost, which are added to the loss of the alphas; None without both."""
        penalty, policy = self.phase.method.penalty(self.supernet.policy), self.supernet.policy
        if self.expectation is None:
            return penalty
        cost = self.weight * self.expectation(policy.probabilities()) / self.expectation.reference
        return cost if penalty is None else cost + penalty

    def outcome(self, batch: Batch, parameters: Mapping[str, Tensor] | None = None) -> BatchOutcome:
        """Return the supernet's outcome on a batch, optionally with other parameters, given by name."""
        with autocast(self.recipe, self.device):
            if parameters is None:
                logits: Tensor = self.supernet(batch[0])
            else:
                logits = torch.func.functional_call(self.supernet, dict(parameters), (batch[0],))
        return self._outcome(_full_precision(logits), batch)

    def _outcome(self, logits: Tensor, batch: Batch) -> BatchOutcome:
        """Return the outcome of logits (B, classes) by the labels and, where there is one, by the recipe's teacher."""
        outcome, distillation = BatchOutcome.of(logits, batch[1]), self.recipe.distillation
        if distillation is None or self.teacher is None:
            return outcome
        with torch.no_grad(), autocast(self.recipe, self.device):
            taught = self.teacher(batch[0])
        return BatchOutcome(distillation.combined(outcome.loss, logits, taught), outcome.hits)

    def fixed_batch(self, number: int) -> Batch:
        """Return the first batch of the alphas' images in the epoch `number`."""
        draws = _SearchRandom(self, number)
        first = draws.order("alphas order", self.alphas_images)[:1]
        with closing(draws.batches(self.alphas_images, first, "alphas augmentation")) as coming:
            return next(coming)

    def _set_lr(self, done: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.schedule.lr_after(self.before + done, self.epochs, self.recipe.lr)


@final
class _SearchRandom:
    """The random streams of one epoch. All workers draw the same batches and gates; each has its own augmentation."""

    def __init__(self, turns: SupernetTrainer, number: int) -> None:
        self.turns, self.number = turns, number
        self.gates = stream(turns.seed, "gates", number)
        device = turns.device
        self.streams = {
            purpose: stream(turns.seed, purpose, number, turns.peers.rank, device=device)
            for purpose in ("augmentation", "alphas augmentation")
        }

    def order(self, purpose: str, images: Images | Encoded) -> tuple[Tensor, ...]:
        """Return this worker's share of the indices of each batch. Raises RecordError where no share has two images."""
        turns, batch = self.turns, self.turns.recipe.batch
        parts = in_batches(images.order(stream(turns.seed, purpose, self.number)), batch)
        shares = (turns.peers.share(part) for part in parts)
        kept = tuple(share for share in shares if len(share) > 1 or len(share) == len(images))
        if not kept:
            raise RecordError(
                f"{len(images)} images in batches of {batch} are less than two for each of {turns.peers.size} workers: give more "
                "images, larger batches or fewer workers"
            )
        return kept

    def batches(
        self, images: Images | Encoded, parts: Sequence[Tensor], purpose: str, sharers: int = 1
    ) -> Generator[Batch, None, None]:
        """Yield the images of each part, augmented and normalised, with their labels.

        Encoded images are cropped at random and decoded by this rank's processes, of which `sharers` such iterators have equal
        shares.
        """
        turns, recipe = self.turns, self.turns.recipe
        mean, std = turns.split.mean, turns.split.std
        crop = RandomCrop(recipe.augmentation.crop_scale, mixed_seed(turns.seed, f"crop, {purpose}", self.number))
        decoders = max(1, Execution().decoders_here() // sharers)
        with closing(load_batches(images, parts, turns.device, crop, decoders, turns.peers.size)) as coming:
            for drawn in coming:
                random = BatchRandom(self.streams[purpose], len(drawn))
                x = augment(drawn.x, recipe.augmentation, mean, std, random, turns.axes)
                yield x.contiguous(memory_format=memory_format(recipe)), drawn.y


def _full_precision(logits: Tensor) -> Tensor:
    return logits.float() if logits.dtype == torch.bfloat16 else logits


@final
class SupernetSums:
    """Sums of losses and hits on the device, so that no step waits for them."""

    def __init__(self, device: torch.device, batches: int) -> None:
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)
        self.losses = torch.zeros(batches, device=device)
        self.steps = 0

    def add(self, outcome: BatchOutcome, images: int) -> None:
        """Add a batch of `images` images."""
        loss = outcome.loss.detach()
        self.losses[self.steps] = loss
        number = torch.full_like(self.sums[0], images)  # filled on the device: a copy from the host would wait
        self.sums += torch.stack([loss.double() * images, outcome.hits.double(), number])
        self.steps += 1

    def means(self, peers: Peers, epoch: int) -> tuple[float, float]:
        """Return the mean loss and the accuracy in percent, over all workers.

        Raises Diverged, on all workers, where a loss of any worker is not finite.
        """
        peers.all_reduce_mean([self.losses, self.sums])
        finite = self.losses.isfinite()
        if not finite.all():
            raise Diverged(epoch, 1 + int(finite.logical_not().nonzero()[0]))
        loss, hits, images = self.sums.tolist()
        return loss / images, 100 * hits / images
