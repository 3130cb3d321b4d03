"""Networks scored as they are built: the norms alone get the statistics of training images."""

from __future__ import annotations

from random import Random

import pytest
import torch
from torch import nn

from nas.building import build
from nas.data import Digits, normalise, split
from nas.evaluation.evaluator import Job
from nas.evaluation.recalibrated import Recalibrated
from nas.space import sample
from nas.testing.evaluators import check_evaluator, performed, task_for
from nas.training import seeded

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"channels": 4, "cells_per_stage": 1}


def test_it_does_what_every_evaluator_does() -> None:
    check_evaluator(Recalibrated(Digits(), 64, 100, 200), "nasbench201", SMALL)


def test_the_score_is_the_accuracy_with_the_statistics_of_the_training_images() -> None:
    recalibrated = Recalibrated(Digits(), calibration_images=100, validation=200, images=300, batch=50)
    task = task_for(recalibrated, "nasbench201", SMALL)
    member = sample(task.space, Random(0))
    _, scores = performed(recalibrated.evaluate(task, Job(0, member, 7)))

    images = split(Digits(), 200, 0, 300)
    with seeded(7):
        model = build(task.network(member), images.shape)
    for norm in (each for each in model.modules() if isinstance(each, nn.BatchNorm2d)):
        norm.momentum = 1.0
    with torch.no_grad():
        # one batch of 100: the running statistics are its own
        model.train()(normalise(images.train.at(torch.arange(100)).x, images.mean, images.std))
        outputs = model.eval()(normalise(images.validation.x, images.mean, images.std))
    right = (outputs.argmax(1) == images.validation.y).double().mean()
    assert scores["validation_top1_percent"] == pytest.approx(100 * float(right), abs=0.51)
