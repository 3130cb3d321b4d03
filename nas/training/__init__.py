"""Training: the recipe, the training loop, checkpoints, and randomness as an argument."""

from nas.training.checkpoint import load_weights, save_weights
from nas.training.execution import Execution
from nas.training.loop import train
from nas.training.measure import Accuracy, evaluate
from nas.training.randomness import mixed_seed, seeded, stream
from nas.training.recipe import Recipe, learning_rate
from nas.training.reports import Diverged, Epoch, Underway
from nas.training.step import autocast, best_device, in_batches, loss_of, make_optimizer, memory_format, to_device

__all__ = [
    "Accuracy",
    "Diverged",
    "Epoch",
    "Execution",
    "Recipe",
    "Underway",
    "autocast",
    "best_device",
    "evaluate",
    "in_batches",
    "learning_rate",
    "load_weights",
    "loss_of",
    "make_optimizer",
    "memory_format",
    "mixed_seed",
    "save_weights",
    "seeded",
    "stream",
    "to_device",
    "train",
]
