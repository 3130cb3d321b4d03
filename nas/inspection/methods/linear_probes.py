"""Linear probes: how well a linear classifier tells the classes apart from the features of each layer."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nas.data.libraries import optional
from nas.inspection.findings import Chart, Findings, left_out
from nas.inspection.inspection import Chapter, Inspection
from nas.inspection.subject import Subject, depths, watched
from nas.records import Positive, record

FOLDS = 2


@record
class LinearProbes(Inspection):
    """The accuracy of a logistic regression on the features of each layer, which are averaged over the map.

    The probes are fitted on one half of the inspected images and tested on the other, both ways; the paper fits them on
    training images. At most `layers` layers have a probe. Source: Alain and Bengio 2016, arXiv:1610.01644.
    """

    name: ClassVar[str] = "linear_probes"
    title: ClassVar[str] = "Linear probes"
    chapter: ClassVar[Chapter] = "From layer to layer"
    layers: Positive = 8

    def inspect(self, subject: Subject) -> Findings:
        labels = subject.images.y.numpy()
        _, counts = np.unique(labels, return_counts=True)
        if len(counts) < 2 or counts.min() < FOLDS:
            return left_out(f"a probe needs {FOLDS} images of each class, and one class has {counts.min()}")
        pixels = subject.images.x.float().mean((2, 3))
        features = {"image": pixels, **pooled_features(subject, self.layers)}
        accuracies = {name: probe_accuracy(each.numpy(), labels) for name, each in features.items()}
        own = 100 * float((subject.predicted == subject.images.y).double().mean())
        points = tuple((float(i), accuracy) for i, accuracy in enumerate(accuracies.values()))
        flat = ((0.0, own), (float(len(points) - 1), own))
        chart = Chart("layer", "accuracy, %", {"linear probe": points, "the network": flat}, tuple(accuracies))
        reading = (
            f"A linear classifier on the features of each layer: {points[1][1]:.1f} % after the first, "
            f"{points[-1][1]:.1f} % after the last. The network itself has {own:.1f} %, on {len(labels):,} images."
        )
        probes = [{"layer": name, "accuracy_percent": each} for name, each in accuracies.items()]
        return Findings(reading, {"network_percent": own, "probes": probes}, (chart,))


def pooled_features(subject: Subject, most: int) -> dict[str, Tensor]:
    """Return the mean over the map of each layer's channels, (N, C), for all images."""
    found: dict[str, list[Tensor]] = {}
    with torch.no_grad(), watched(depths(subject.model, most)) as maps:
        for batch in subject.batches():
            subject.model(batch)
            for name, values in maps.items():
                found.setdefault(name, []).append(values.mean((2, 3)).float().cpu())
    return {name: torch.cat(each) for name, each in found.items()}


def probe_accuracy(features: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the accuracy, in percent, of a logistic regression on features (N, C), by cross-validation."""
    selection: Any = optional("sklearn.model_selection", "scikit-learn")
    linear: Any = optional("sklearn.linear_model", "scikit-learn")
    pipeline: Any = optional("sklearn.pipeline", "scikit-learn")
    scaler: Any = optional("sklearn.preprocessing", "scikit-learn")
    probe = pipeline.make_pipeline(scaler.StandardScaler(), linear.LogisticRegression(max_iter=200))
    folds = selection.StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():  # a probe that has not quite converged after 200 steps has about the same accuracy
        warnings.simplefilter("ignore")
        return 100 * float(np.mean(selection.cross_val_score(probe, features, labels, cv=folds)))
