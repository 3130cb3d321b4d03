"""Data sets, their splits, and augmentation on the device. One file per data set; files are discovered automatically."""

from importlib import import_module
from pkgutil import iter_modules

from nas.data.augment import Augmentation, augment, normalise
from nas.data.base import Data, Images, Loaded
from nas.data.cifar import Cifar10, Cifar100
from nas.data.decode import decoder_name
from nas.data.digits import Digits
from nas.data.encoded import Encoded, Source
from nas.data.feed import BatchLoader, RandomCrop, load_batches
from nas.data.folder import ImageFolder
from nas.data.hub_images import HubImages
from nas.data.identity import DataIdentity
from nas.data.image_files import ImageFiles
from nas.data.moving_digits import MovingDigits
from nas.data.rotations import Rotations
from nas.data.split import Split, evaluation_split, identify, split
from nas.data.webdataset import WebDataset

__all__ = [
    "Augmentation",
    "BatchLoader",
    "Cifar10",
    "Cifar100",
    "Data",
    "DataIdentity",
    "Digits",
    "Encoded",
    "HubImages",
    "ImageFiles",
    "ImageFolder",
    "Images",
    "Loaded",
    "MovingDigits",
    "RandomCrop",
    "Rotations",
    "Source",
    "Split",
    "WebDataset",
    "augment",
    "decoder_name",
    "evaluation_split",
    "identify",
    "load_batches",
    "normalise",
    "split",
]

# The function `split` has the name of its module; importing the modules a second time does not rebind it.
for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
