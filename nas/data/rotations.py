"""Images in four rotations, which a network learns to tell apart: a pretraining without labels."""

from __future__ import annotations

from dataclasses import replace

import torch

from nas.data.base import Data, Images, Loaded
from nas.records import RecordError, record

DEGREES = ("0", "90", "180", "270")


@record
class Rotations(Data):
    """Each in-memory image of `data` in four rotations, which are the classes; its own label is not used.

    A network that is trained on them has features for `nas transfer` (Gidaris et al. 2018, arXiv:1803.07728). The released
    code has all four rotations of an image in one batch; here they are in random order.
    """

    data: Data

    def load(self) -> Loaded:
        loaded = self.data.load()
        train, test = (_rotated(images) for images in (loaded.train, loaded.test))
        source = f"{loaded.test_source or 'test images'}, each in four rotations"
        return Loaded(train, test, DEGREES, loaded.mean, loaded.std, loaded.identity().digest, source)

    def as_test(self) -> Rotations:
        return replace(self, data=self.data.as_test())


def _rotated(images: object) -> Images:
    """Return the images in each rotation, counter-clockwise. Raises RecordError where they are not in memory or not square."""
    if not isinstance(images, Images):
        raise RecordError(
            "Rotations.data decodes its images on the fly: give images that are held in memory, as ImageFolder"
        )
    if images.x.shape[2] != images.x.shape[3]:
        raise RecordError(f"the images are {tuple(images.x.shape[2:])}: rotations need square ones; give a size")
    turned = [images.x.rot90(quarter, (2, 3)) for quarter in range(len(DEGREES))]
    return Images(torch.cat(turned), torch.arange(len(DEGREES)).repeat_interleave(len(images)))
