"""Reaction (the Fisher-Rao part): masses grow where the first variation is low and shrink where it is high.

Signed and vector masses v_i = m_i s_i keep their direction s_i: only m_i = |v_i| >= 0 changes, by a positive factor. So
no sign ever flips, and a splat without mass stays without: mass of the other sign must be born elsewhere.
"""

import jax.numpy as jnp

from bayesplat._typing import AnyArray, Float
from bayesplat.flow.measure_space.functional import Energy
from bayesplat.flow.measure_space.particles import polar
from bayesplat.flow.measure_space.variation import first_variation, relaxation
from bayesplat.measure import SplatMeasure

__all__ = ["step"]


def step(energy: Energy, measure: SplatMeasure, dt: Float[AnyArray, ""] | float, conserve: bool) -> SplatMeasure:
    """One multiplicative step m_i <- m_i exp(-dt (eta_i - mean)), the mean dropped if mass is free.

    With `conserve` the masses are then scaled so that the total sum_i |v_i| is what it was: the step of mirror descent
    with the entropy of the masses. Some splat must have mass.
    """
    masses, _ = polar(measure)
    eta = first_variation(measure, energy.x, energy.variation(measure), energy.penalty)
    factor = jnp.exp(-dt * relaxation(masses, eta, conserve))
    if conserve:
        factor = factor * (jnp.sum(masses) / jnp.vdot(masses, factor))
    return SplatMeasure(measure.v * factor[:, None], measure.A, measure.b, measure.live, measure.mother)
