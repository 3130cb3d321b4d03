"""Prototypes: images are classified by the nearest mean of features, without a training (Snell et al. 2017, arXiv:1703.05175)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nas.data import Images, Split, load_batches, normalise
from nas.data.encoded import Encoded
from nas.records import Positive, RecordError, record


@record
class FewShot:
    """Episodes of `classes` classes: prototypes from `shots` images a class, tested on `queries` others of each.

    The paper tests 600 episodes of 5 classes with 15 queries.
    """

    classes: Positive = 5
    shots: Positive = 5
    queries: Positive = 15
    episodes: Positive = 600


@torch.no_grad()
def features_of(model: nn.Module, images: Images | Encoded, split: Split, batch: int) -> tuple[Tensor, Tensor]:
    """Return what the model's last linear layer is given for each image, float32 (N, F), and the labels, int64 (N,).

    The model is put into evaluation mode, on the CPU. Raises RecordError where its head has no linear layer.
    """
    model.eval().cpu()
    found: list[Tensor] = []
    handle = last_linear(model).register_forward_pre_hook(lambda _, given: found.append(given[0].flatten(1).float()))
    parts, labels = torch.split(torch.arange(len(images)), batch), []
    for each in load_batches(images, parts, torch.device("cpu")):
        model(normalise(each.x, split.mean, split.std))
        labels.append(each.y)
    handle.remove()
    return torch.cat(found), torch.cat(labels)


def last_linear(model: nn.Module) -> nn.Linear:
    """Return the last linear layer of the model's head. Raises RecordError where there is none."""
    layers = [module for module in model.get_submodule("head").modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise RecordError("prototypes are of what a last linear layer is given, and this network's head has none")
    return layers[-1]


def prototypes_of(features: Tensor, y: Tensor, classes: int) -> Tensor:
    """Return the mean of each class's features, (classes, F); every class must have an image."""
    totals = torch.zeros(classes, features.shape[1]).index_add_(0, y, features)
    return totals / y.bincount(minlength=classes)[:, None]


@torch.no_grad()
def set_prototypes(model: nn.Module, prototypes: Tensor) -> None:
    """Make the last linear layer classify by the nearest prototype, c of (classes, F): weight 2 c, bias -|c|^2 (equation 8)."""
    last = last_linear(model)
    assert last.bias is not None, "the last layer of a head has a bias"
    last.weight.copy_(2 * prototypes)
    last.bias.copy_(-prototypes.square().sum(1))


def few_shot_accuracy(
    features: Tensor, y: Tensor, how: FewShot, generator: torch.Generator
) -> tuple[float, float] | None:
    """Return the mean accuracy of random episodes, and half its 95 % interval, both in percent.

    Episodes take classes with enough images for shots and queries; None where these are fewer than `how.classes`.
    """
    images = [(y == label).nonzero()[:, 0] for label in range(int(y.max()) + 1)]
    enough = [each for each in images if len(each) >= how.shots + how.queries]
    if len(enough) < how.classes:
        return None
    accuracies = torch.stack([_episode(features, enough, how, generator) for _ in range(how.episodes)])
    spread = float(accuracies.std()) / math.sqrt(how.episodes) if how.episodes > 1 else 0.0
    return 100 * float(accuracies.mean()), 100 * 1.96 * spread


def _episode(features: Tensor, images: list[Tensor], how: FewShot, generator: torch.Generator) -> Tensor:
    """Return the accuracy of an episode; `images` has the indices of each class's images."""
    chosen = torch.randperm(len(images), generator=generator)[: how.classes].tolist()
    drawn = torch.stack(
        [
            images[label][torch.randperm(len(images[label]), generator=generator)[: how.shots + how.queries]]
            for label in chosen
        ]
    )
    means = features[drawn[:, : how.shots]].mean(1)
    queries = features[drawn[:, how.shots :]].flatten(0, 1)
    guesses = torch.cdist(queries, means).argmin(1)
    return (guesses == torch.arange(how.classes).repeat_interleave(how.queries)).double().mean()
