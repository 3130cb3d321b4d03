"""Morphisms: a network begins with the weights of another one and, where it grew out of that, computes the same function."""

from nas.morphisms.inheritance import Inheritance as Inheritance
from nas.morphisms.inheritance import inherit as inherit
from nas.morphisms.ordering import Importance as Importance
