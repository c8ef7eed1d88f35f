"""Priors: amplitudes (one dial each), axis lengths and centres, and the tables of named sites they are made of."""

from bayesplat.priors.amplitude import AmplitudePrior, Context, Flat, Ridge
from bayesplat.priors.geometry import Box, Centres, FreeLengths, Lengths, shear_sites
from bayesplat.priors.repulsion import Repulsive
from bayesplat.priors.shrinkage import R2D2, RegularizedHorseshoe, StickBreaking

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
