"""Priors: amplitudes (one dial each), axis lengths and centres, and the tables of named sites they are made of."""

from bayesplat.priors.amplitude import (
    R2D2,
    AmplitudePrior,
    Context,
    Flat,
    RegularizedHorseshoe,
    Repulsive,
    Ridge,
    StickBreaking,
)
from bayesplat.priors.geometry import Box, Centres, FreeLengths, Lengths, shear_sites

__all__ = [
    "R2D2",
    "AmplitudePrior",
    "Box",
    "Centres",
    "Context",
    "Flat",
    "FreeLengths",
    "Lengths",
    "RegularizedHorseshoe",
    "Repulsive",
    "Ridge",
    "StickBreaking",
    "shear_sites",
]
