"""Fields that interacting particles move in: the first variation of their energy, at any place, given all of them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bayesplat._typing import AnyArray, Float
from bayesplat.flow.measure_space.functional import Energy
from bayesplat.flow.measure_space.particles import polar
from bayesplat.flow.measure_space.variation import potential
from bayesplat.measure import SplatMeasure
from bayesplat.mothers import Mother
from bayesplat.scales import Scale

__all__ = ["Field", "alone", "measure_of", "of_splats"]

type Field = Callable[[AnyArray, AnyArray], AnyArray]
"""First variations (k,) at places (k, r) in the field of an ensemble (k, r), both in unconstrained coordinates."""


def alone(log_density: Callable[[AnyArray], AnyArray]) -> Field:
    """Field -log_density(place) of particles that do not interact, from the log density of ONE place (r,)."""
    return lambda at, ensemble: -jax.vmap(log_density)(at)


def of_splats(energy: Energy, mother: Mother, scale: Scale) -> Field:
    """Field eta(v, A, b) = <v, g(A, b)> + penalty |a| of the energy of `measure_of` an ensemble (daniels2025splat).

    It does not hold v, A or b back: add a confinement, such as a negative log prior, before adding entropy.
    """

    def field(at: Float[AnyArray, "k r"], ensemble: Float[AnyArray, "k r"]) -> Float[AnyArray, "k"]:
        k, d = at.shape[0], energy.x.shape[1]
        dF = energy.variation(measure_of(ensemble, mother, scale, d))
        splats = measure_of(at, mother, scale, d)
        g = potential(dF, energy.x, splats.A, splats.b, mother)
        # A particle has v, its splat v / k.
        return k * (jnp.sum(splats.v * g, axis=1) + energy.penalty * polar(splats)[0] * splats.peaks)

    return field


def measure_of(ensemble: Float[AnyArray, "k r"], mother: Mother, scale: Scale, d: int) -> SplatMeasure:
    """Measure with f_mu = (1/k) sum_i v_i rho_{A_i,b_i}, the mean over particles (v, log lengths, shears, centre).

    Every particle weighs the same, so copies and deaths need no bookkeeping: masses v / k are carried along.
    """
    k, r = ensemble.shape
    p = r - scale.n_lengths(d) - scale.n_shears(d) - d
    cuts = (p, p + scale.n_lengths(d), r - d)
    v, log_lengths, shears, b = jnp.split(ensemble, cuts, axis=1)
    A, _ = jax.vmap(lambda lengths, shears: scale.constrain(lengths, shears, d))(log_lengths, shears)
    return SplatMeasure(v / k, A, b, jnp.ones(k, bool), mother)
