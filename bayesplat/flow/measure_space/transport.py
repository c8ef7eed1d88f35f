"""Transport (the Wasserstein part): explicit Euler along the gradient of eta at every splat, masses held.

Centres move in R^d, directions on the unit sphere of R^p (a sign stays as it is), and scales in one of two metrics.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bayesplat._typing import AnyArray, Float
from bayesplat.flow.measure_space import bures as geometry
from bayesplat.flow.measure_space.functional import Energy
from bayesplat.flow.measure_space.particles import per_mass, polar
from bayesplat.flow.measure_space.variation import gradient
from bayesplat.measure import SplatMeasure

__all__ = ["Metric", "bures", "frobenius", "slope", "step"]

type Metric = Callable[[AnyArray, AnyArray, AnyArray | float], AnyArray]
"""A metric on scales, as its steepest descent: from A, the gradient in the lower triangle and a time to the new A."""


def frobenius(
    A: Float[AnyArray, "k d d"], dA: Float[AnyArray, "k d d"], dt: Float[AnyArray, ""] | float
) -> Float[AnyArray, "k d d"]:
    """Descent in |dA|_F over lower triangles: A - dt dA (k, d, d).

    |dA|_F^2 is the cost of moving every z along its own path: no less than that of the best coupling, the Wasserstein
    distance. For d > 1 it depends on the order and direction of the axes.
    """
    return A - dt * dA


def bures(
    A: Float[AnyArray, "k d d"], dA: Float[AnyArray, "k d d"], dt: Float[AnyArray, ""] | float
) -> Float[AnyArray, "k d d"]:
    """Descent in the Wasserstein-2 distance itself (k, d, d), along geodesics: the same in all axes (bhatia2019)."""
    return jax.vmap(lambda A, dA: geometry.exponential(A, -dt * geometry.gradient(A, dA)))(A, dA)


def slope(energy: Energy, measure: SplatMeasure) -> SplatMeasure:
    """Gradient of eta_i in (s_i, A_i, b_i), in the places of (v, A, b): that of the energy divided by the mass.

    Minus this is the velocity. In s_i it is tangential to the sphere, g - <s, g> s. 0 where there is no mass.
    """
    masses, s = polar(measure)
    steep = gradient(measure, energy.x, energy.variation(measure), energy.penalty)
    tangential = steep.v - jnp.sum(s * steep.v, axis=1, keepdims=True) * s
    ds = jnp.where(masses[:, None] > 0, tangential, 0.0)
    inverse = per_mass(masses)
    return SplatMeasure(ds, inverse[:, None, None] * steep.A, inverse[:, None] * steep.b, measure.live, measure.mother)


def step(
    energy: Energy, measure: SplatMeasure, dt: Float[AnyArray, ""] | float, metric: Metric = frobenius
) -> SplatMeasure:
    """One Euler step of length dt; every |v_i| stays what it is. `curvature.stable_step` says how long it may be."""
    masses, s = polar(measure)
    steep = slope(energy, measure)
    _, turned = polar(SplatMeasure(s - dt * steep.v, measure.A, measure.b, measure.live, measure.mother))
    v = jnp.where(masses[:, None] > 0, masses[:, None] * turned, measure.v)
    return SplatMeasure(v, metric(measure.A, steep.A, dt), measure.b - dt * steep.b, measure.live, measure.mother)
