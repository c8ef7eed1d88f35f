"""How long a step may be: the curvature of the energy in the Wasserstein-Fisher-Rao metric."""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import solve_triangular

from bayesplat._typing import AnyArray, Float
from bayesplat.flow.measure_space.functional import Energy
from bayesplat.flow.measure_space.particles import polar
from bayesplat.flow.measure_space.transport import Metric, frobenius, slope
from bayesplat.flow.measure_space.variation import first_variation
from bayesplat.measure import SplatMeasure

__all__ = ["curvature", "stable_step"]

POWER_STEPS = 30
"""Steps of the power iteration."""

REACH = 0.5
"""Most that a splat moves in a step, in its own size, or that its log mass changes: further off, L is another one."""


def stable_step(energy: Energy, measure: SplatMeasure, metric: Metric = frobenius) -> Float[AnyArray, ""]:
    """Step at which, to second order, the energy falls, of transport, reaction or both: 1 / L, or less for `REACH`.

    With L the curvature, a step dt lowers E by dt (1 - dt L / 2) |grad E|^2 at least: any dt < 2 / L will do, but where
    L grows manyfold within the step, as it may far from equilibrium. The factor of 2 that 1 / L leaves is room for L
    found from below.
    If rho has a cusp (Laplace), L has no bound where a centre meets a datum: the flow slows down and stays there.
    """
    masses, _ = polar(measure)
    eta = first_variation(measure, energy.x, energy.variation(measure), energy.penalty)
    steep = slope(energy, measure)
    # No eigenvalue of the tangent S exceeds |A^{-1} dA|_F of its lower triangle: within reach, geodesics are geodesics.
    _, dA = jax.jvp(lambda dt: metric(measure.A, steep.A, dt), (jnp.zeros(()),), (jnp.ones(()),))
    sized = jax.vmap(lambda A, *rates: jnp.linalg.norm(solve_triangular(A, jnp.column_stack(rates), lower=True)))
    fastest = jnp.max(jnp.maximum(sized(measure.A, dA, steep.b), jnp.where(masses > 0, jnp.abs(eta), 0.0)))
    return 1.0 / jnp.maximum(curvature(energy, measure), fastest / REACH)


def curvature(energy: Energy, measure: SplatMeasure) -> Float[AnyArray, ""]:
    """Largest absolute eigenvalue L of the energy's Hessian in the Wasserstein-Fisher-Rao metric, by power iteration.

    The coordinates are those in which the metric is Euclidean here: sqrt(m) (s, A, b) and 2 sqrt(m), A over all d x d
    matrices. In them a step of the Bures metric follows the plain gradient, and one of the Frobenius metric stays in a
    subspace; so L serves both.
    """
    masses, s = polar(measure)
    root = jnp.sqrt(masses)
    inverse = jnp.where(masses > 0, 1.0 / jnp.where(masses > 0, root, 1.0), 0.0)
    origin, unflatten = ravel_pytree(tuple(map(jnp.zeros_like, (masses, s, measure.A, measure.b))))

    def lifted(coordinates: Float[jax.Array, "c"]) -> Float[AnyArray, ""]:
        dm, ds, dA, db = unflatten(coordinates)
        full = measure.A + inverse[:, None, None] * dA
        A = jnp.linalg.cholesky(jnp.einsum("kab,kcb->kac", full, full))
        b = measure.b + inverse[:, None] * db
        _, turned = polar(SplatMeasure(s + inverse[:, None] * ds, A, b, measure.live, measure.mother))
        v = jnp.square(root + 0.5 * dm)[:, None] * turned
        return energy.value(SplatMeasure(v, A, b, measure.live, measure.mother))

    def bend(_: object, direction: Float[jax.Array, "c"]) -> Float[jax.Array, "c"]:
        length = jnp.maximum(jnp.linalg.norm(direction), jnp.finfo(direction.dtype).tiny)
        return jax.jvp(jax.grad(lifted), (origin,), (direction / length,))[1]

    generic = jax.random.normal(jax.random.key(0), origin.shape, origin.dtype)
    return jnp.linalg.norm(jax.lax.fori_loop(0, POWER_STEPS, bend, generic))
