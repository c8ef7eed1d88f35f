"""The splat measure mu = {(v_i, A_i, b_i)} and its function f_mu, in a dense form that reads like the theory."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Int

from bayesplat._typing import AnyArray, Bool, Float
from bayesplat.mothers import Mother

__all__ = ["SplatMeasure"]

Index = int | np.integer | Int[AnyArray, ""]


class SplatMeasure(eqx.Module):
    """Finite measure over splats, with f_mu(x) = sum_i v_i rho(A_i^{-1} (x - b_i)) / |det A_i| (daniels2025splat).

    Shapes are fixed: a splat is born or dies by its flag in `live`, and dead splats count for nothing.

    >>> from bayesplat.mothers import Gaussian
    >>> mu = SplatMeasure.from_amplitude(jnp.ones((1, 1)), jnp.eye(1)[None], jnp.zeros((1, 1)), Gaussian())
    >>> mu
    SplatMeasure: 1 live splats of 1, d = 1, p = 1, Gaussian mother, mass 2.507
    >>> mu(jnp.array([[0.0], [1.0]]))[:, 0]
    Array([1.        , 0.60653067], dtype=float32)
    """

    v: Float[AnyArray, "k p"]  # signed masses
    A: Float[AnyArray, "k d d"]  # scales, lower triangular with positive diagonal (dead splats too)
    b: Float[AnyArray, "k d"]  # centres
    live: Bool[AnyArray, "k"]
    mother: Mother = eqx.field(static=True)

    @classmethod
    def from_amplitude(
        cls,
        amplitude: Float[AnyArray, "k p"],
        A: Float[AnyArray, "k d d"],
        b: Float[AnyArray, "k d"],
        mother: Mother,
        live: Bool[AnyArray, "k"] | None = None,
    ) -> "SplatMeasure":
        """Measure whose splat i has height a_i (p,) at its centre: v_i = a_i |det A_i| / rho(0)."""
        live = jnp.ones(b.shape[0], bool) if live is None else live
        return cls(amplitude / _peaks(A, mother)[:, None], A, b, live, mother)

    @property
    def amplitude(self) -> Float[AnyArray, "k p"]:
        """Heights a_i = v_i rho(0) / |det A_i| (k, p)."""
        return self.v * self.peaks[:, None]

    @property
    def peaks(self) -> Float[AnyArray, "k"]:
        """Heights rho(0) / |det A_i| (k,) per unit of mass: a_i = v_i peak_i."""
        return _peaks(self.A, self.mother)

    @property
    def mass(self) -> Float[AnyArray, "p"]:
        """Total signed mass (p,) of the live splats, the integral of f_mu."""
        return self.live.astype(self.v.dtype) @ self.v

    def heights(self, x: Float[AnyArray, "n d"]) -> Float[AnyArray, "n k"]:
        """Heights rho(z) / rho(0) (n, k) at z = A_i^{-1} (x - b_i); 0 for dead splats."""
        return jax.vmap(self._heights)(x)

    def __call__(self, x: Float[AnyArray, "n d"]) -> Float[AnyArray, "n p"]:
        """Values f_mu(x) (n, p)."""
        return jax.vmap(self._value)(x)

    def gradient(self, x: Float[AnyArray, "n d"]) -> Float[AnyArray, "n p d"]:
        """Gradients df_mu/dx (n, p, d) = sum_i a_i h_i A_i^{-T} (grad log rho)(z_i)."""
        return jax.vmap(self._gradient)(x)

    def laplacian(self, x: Float[AnyArray, "n d"]) -> Float[AnyArray, "n p"]:
        """Laplacians sum_e d^2 f_mu / dx_e^2 (n, p)."""
        return jax.vmap(lambda point: jnp.trace(jax.hessian(self._value)(point), axis1=1, axis2=2))(x)

    def permute(self, order: Int[AnyArray, "k"]) -> "SplatMeasure":
        """Measure with its splats in another order; the function is the same if each finds its own mother there."""
        return jax.tree.map(lambda leaf: leaf[order], self)

    def split(
        self, i: Index, j: Index, direction: Float[AnyArray, "d"], gap: float | Float[AnyArray, ""]
    ) -> "SplatMeasure":
        """Split splat i into slots i and j, keeping mass, mean and covariance; slot j must be dead.

        With the unit vector u along `direction` and 0 <= gap < 1: half the mass each, centres b +- gap A u, and
        A' A'^T = A (I - gap^2 u u^T) A^T. As gap -> 0 the function is kept too. The covariance is that of a mother
        scaled to identity covariance; for one without a covariance it is the shape matrix that is kept.
        """
        u = jnp.asarray(direction) / jnp.linalg.norm(direction)
        A = jnp.asarray(self.A)[i]
        shrunk = A @ jnp.linalg.cholesky(jnp.eye(u.size, dtype=A.dtype) - gap**2 * jnp.outer(u, u))
        half, centre, step = 0.5 * jnp.asarray(self.v)[i], jnp.asarray(self.b)[i], gap * A @ u
        return self._put(i, half, shrunk, centre + step, True)._put(j, half, shrunk, centre - step, True)

    def merge(self, i: Index, j: Index) -> "SplatMeasure":
        """Merge the live splats i and j into slot i, with their summed mass; slot j dies.

        Mean and covariance are matched with weights |v_i|, |v_j| (summed over outputs; equal if both are 0). Where the
        signed masses cancel the merged splat keeps that place and has mass about 0: its function is lost.
        """
        v, A, b = jnp.asarray(self.v), jnp.asarray(self.A), jnp.asarray(self.b)
        size_i, size_j = jnp.sum(jnp.abs(v[i])), jnp.sum(jnp.abs(v[j]))
        total = size_i + size_j
        share = jnp.where(total > 0, size_i / jnp.where(total > 0, total, 1.0), 0.5)
        apart = b[i] - b[j]
        within = share * A[i] @ A[i].T + (1 - share) * A[j] @ A[j].T
        covariance = within + share * (1 - share) * jnp.outer(apart, apart)
        centre = b[j] + share * apart
        merged = self._put(i, v[i] + v[j], jnp.linalg.cholesky(covariance), centre, True)
        return merged._put(j, jnp.zeros_like(v[j]), A[j], b[j], False)

    def _put(self, i: Index, v: jax.Array, A: jax.Array, b: jax.Array, live: bool) -> "SplatMeasure":
        old = jnp.asarray(self.v), jnp.asarray(self.A), jnp.asarray(self.b), jnp.asarray(self.live)
        return SplatMeasure(
            *(leaf.at[i].set(new) for leaf, new in zip(old, (v, A, b, live), strict=True)), mother=self.mother
        )

    def _offsets(self, x: Float[AnyArray, "d"]) -> Float[AnyArray, "k d"]:
        """Offsets z_i = A_i^{-1} (x - b_i)."""
        return jax.vmap(lambda A, b: solve_triangular(A, x - b, lower=True))(self.A, self.b)

    def _heights(self, x: Float[AnyArray, "d"]) -> Float[AnyArray, "k"]:
        q = jnp.sum(jnp.square(self._offsets(x)), axis=1)
        return jnp.where(self.live, self.mother.height(q, x.size), 0.0)

    def _value(self, x: Float[AnyArray, "d"]) -> Float[AnyArray, "p"]:
        return self._heights(x) @ self.amplitude

    def _gradient(self, x: Float[AnyArray, "d"]) -> Float[AnyArray, "p d"]:
        heights = self._heights(x)
        # where a height has underflowed, the slope of its logarithm may have overflowed
        grad_z = self.mother.grad_log_density(jnp.where(heights[:, None] > 0, self._offsets(x), 0.0))
        grad_x = jax.vmap(lambda A, g: solve_triangular(A, g, lower=True, trans="T"))(self.A, grad_z)
        return (heights[:, None] * self.amplitude).T @ grad_x

    def __repr__(self) -> str:
        try:
            (k, p), (_, d) = self.v.shape, self.b.shape
            live, mass = np.asarray(self.live), np.asarray(self.mass)
        except Exception:  # tracers, abstract shapes, placeholders: a repr must never fail
            return f"SplatMeasure({self.mother!r})"
        mother, masses = repr(self.mother).removesuffix("()"), ", ".join(f"{m:.4g}" for m in mass)
        return f"SplatMeasure: {live.sum()} live splats of {k}, d = {d}, p = {p}, {mother} mother, mass {masses}"


def _peaks(A: Float[AnyArray, "k d d"], mother: Mother) -> Float[AnyArray, "k"]:
    log_det = jnp.sum(jnp.log(jnp.diagonal(A, axis1=1, axis2=2)), axis=1)
    return jnp.exp(jnp.asarray(mother.log_peaks(*A.shape[:2]), log_det.dtype) - log_det)
