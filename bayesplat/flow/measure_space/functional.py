"""Functionals F of a function f that is known by its values at the data, and the energy of a measure."""

from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp

from bayesplat._typing import AnyArray, Float
from bayesplat.flow.measure_space.particles import polar
from bayesplat.measure import SplatMeasure

__all__ = ["EmpiricalRisk", "Energy", "Functional", "NegLogLikelihood"]


class Functional(eqx.Module):
    """A functional F of the values f (n, p) at the data."""

    @abstractmethod
    def value(self, f: Float[AnyArray, "n p"]) -> Float[AnyArray, ""]:
        """F(f)."""

    @abstractmethod
    def variation(self, f: Float[AnyArray, "n p"]) -> Float[AnyArray, "n p"]:
        """First variation dF at the data: F(f + t h) = F(f) + t sum_j <dF_j, h_j> + O(t^2)."""


class EmpiricalRisk(Functional):
    """F(f) = (1/2n) sum_j |f_j - y_j|^2 (daniels2025splat)."""

    y: Float[AnyArray, "n p"]

    def value(self, f: Float[AnyArray, "n p"]) -> Float[AnyArray, ""]:
        """F(f)."""
        return 0.5 * jnp.sum(jnp.square(f - self.y)) / self.y.shape[0]

    def variation(self, f: Float[AnyArray, "n p"]) -> Float[AnyArray, "n p"]:
        """dF_j = (f_j - y_j) / n."""
        return (f - self.y) / self.y.shape[0]


class NegLogLikelihood(Functional):
    """F(f) = -log N(y; f, sigma^2 I)."""

    y: Float[AnyArray, "n p"]
    sigma: Float[AnyArray, ""] | float

    def value(self, f: Float[AnyArray, "n p"]) -> Float[AnyArray, ""]:
        """F(f)."""
        log_norm = self.y.size * jnp.log(jnp.sqrt(2.0 * jnp.pi) * self.sigma)
        return 0.5 * jnp.sum(jnp.square((f - self.y) / self.sigma)) + log_norm

    def variation(self, f: Float[AnyArray, "n p"]) -> Float[AnyArray, "n p"]:
        """dF_j = (f_j - y_j) / sigma^2."""
        return (f - self.y) / self.sigma**2


class Energy(eqx.Module):
    """Energy E(mu) = F(f_mu) + penalty sum_i |a_i| of a measure, with a_i = v_i rho(0) / |det A_i| the heights.

    Heights are what is penalised, not masses: a wide splat and a narrow one cost the same if they stand as tall.
    """

    functional: Functional
    x: Float[AnyArray, "n d"]
    penalty: Float[AnyArray, ""] | float = 0.0

    def value(self, measure: SplatMeasure) -> Float[AnyArray, ""]:
        """E(mu)."""
        masses, _ = polar(measure)
        return self.functional.value(measure(self.x)) + self.penalty * jnp.vdot(masses, measure.peaks)

    def variation(self, measure: SplatMeasure) -> Float[AnyArray, "n p"]:
        """First variation dF (n, p) of F at f_mu."""
        return self.functional.variation(measure(self.x))
