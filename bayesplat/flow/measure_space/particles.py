"""Splats as weighted particles: v_i = m_i s_i with a mass m_i = |v_i| >= 0 and a direction s_i on the sphere of R^p."""

import jax.numpy as jnp

from bayesplat._typing import AnyArray, Float
from bayesplat.measure import SplatMeasure

__all__ = ["per_mass", "polar"]


def polar(measure: SplatMeasure) -> tuple[Float[AnyArray, "k"], Float[AnyArray, "k p"]]:
    """Masses m_i (k,), 0 for dead splats, and directions s_i (k, p): signs if p = 1, 0 where there is no mass.

    Differentiable everywhere; all derivatives are 0 where there is no mass.
    """
    square = jnp.where(measure.live, jnp.sum(jnp.square(measure.v), axis=1), 0.0)
    some = square > 0
    root = jnp.sqrt(jnp.where(some, square, 1.0))
    return jnp.where(some, root, 0.0), jnp.where(some[:, None], measure.v / root[:, None], 0.0)


def per_mass(masses: Float[AnyArray, "k"]) -> Float[AnyArray, "k"]:
    """Inverse masses 1 / m_i (k,), 0 where there is no mass: such splats do not move."""
    return jnp.where(masses > 0, 1.0 / jnp.where(masses > 0, masses, 1.0), 0.0)
