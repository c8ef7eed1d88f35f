"""Data to try the package on: one measured data set, and simulated ones whose truth is known."""

from bayesplat.datasets.motorcycle import Dataset, motorcycle
from bayesplat.datasets.simulate import NAMES, Simulated, simulate

__all__ = ["NAMES", "Dataset", "Simulated", "motorcycle", "simulate"]
