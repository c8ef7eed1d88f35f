"""Scale families: which lower-triangular matrices A a splat may have, and unconstrained coordinates for them.

A = diag(l) L(w): l are the axis lengths, the marginal sds of the splat; L is the Cholesky factor of the correlation
matrix whose canonical partial correlations are tanh(w) (Lewandowski, Kurowicka & Joe 2009). Shears w run row by row.
All functions take ONE splat; use `jax.vmap` for many.
"""

import abc
import dataclasses
import math

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln

from bayesplat._checks import one_of
from bayesplat._typing import AnyArray, Float

__all__ = ["Diag", "Full", "Scale", "Spherical", "family", "inverse"]


@dataclasses.dataclass(frozen=True)
class Scale(abc.ABC):
    """A family of scales A (d, d), with log axis lengths (`n_lengths`,) and shears w (`n_shears`,) as coordinates."""

    @abc.abstractmethod
    def n_lengths(self, d: int) -> int:
        """Count the axis lengths."""

    def n_shears(self, d: int) -> int:
        """Count the shears."""
        return _rows_and_columns(self, d)[0].size

    @abc.abstractmethod
    def constrain(
        self, log_lengths: Float[AnyArray, "lengths"], shears: Float[AnyArray, "shears"], d: int
    ) -> tuple[Float[AnyArray, "d d"], Float[AnyArray, ""]]:
        """Scale A (d, d), lower triangular with positive diagonal, and log |det A|."""

    @abc.abstractmethod
    def unconstrain(self, A: Float[AnyArray, "d d"]) -> tuple[Float[AnyArray, "lengths"], Float[AnyArray, "shears"]]:
        """Coordinates (log_lengths, shears) of A; the inverse of `constrain`."""

    @abc.abstractmethod
    def log_jacobian(
        self, log_lengths: Float[AnyArray, "lengths"], shears: Float[AnyArray, "shears"], d: int
    ) -> Float[AnyArray, ""]:
        """Log |d(free entries of A) / d(log_lengths, shears)|."""

    @abc.abstractmethod
    def directions(self, d: int) -> Float[np.ndarray, "c d d"]:
        """Basis L_s of the lower-triangular matrices for which A + t A L_s stays in the family to first order."""

    def lkj_alpha(self, d: int, concentration: float | Float[AnyArray, ""]) -> Float[AnyArray, "shears"]:
        """Parameters a = concentration + (d - 2 - c) / 2 of the partial correlations, c the column of each shear."""
        return concentration + jnp.asarray(0.5 * (d - 2 - _rows_and_columns(self, d)[1]), dtype=float)

    def log_lkj(
        self, shears: Float[AnyArray, "shears"], d: int, concentration: float | Float[AnyArray, ""]
    ) -> Float[AnyArray, ""]:
        """Log density of the shears w under LKJ(concentration): tanh(w) ~ 2 Beta(a, a) - 1, with the tanh Jacobian."""
        a = self.lkj_alpha(d, concentration)
        log_norm = 2.0 * gammaln(a) - gammaln(2.0 * a) + (2.0 * a - 1.0) * math.log(2.0)
        return jnp.sum(2.0 * a * _log_sech(shears) - log_norm)


@dataclasses.dataclass(frozen=True)
class Spherical(Scale):
    """A = l I: one length for all axes. Free entry: l."""

    def n_lengths(self, d: int) -> int:
        """One."""
        return 1

    def constrain(
        self, log_lengths: Float[AnyArray, "lengths"], shears: Float[AnyArray, "shears"], d: int
    ) -> tuple[Float[AnyArray, "d d"], Float[AnyArray, ""]]:
        """Scale l I and d log l."""
        return jnp.exp(log_lengths[0]) * jnp.eye(d, dtype=log_lengths.dtype), d * jnp.sum(log_lengths)

    def unconstrain(self, A: Float[AnyArray, "d d"]) -> tuple[Float[AnyArray, "lengths"], Float[AnyArray, "shears"]]:
        """Length (det A)^(1/d), which keeps the volume of a scale outside the family."""
        return jnp.mean(jnp.log(jnp.diagonal(A)), keepdims=True), jnp.zeros(0, A.dtype)

    def directions(self, d: int) -> Float[np.ndarray, "c d d"]:
        """The identity: one relative length."""
        return np.eye(d)[None]

    def log_jacobian(
        self, log_lengths: Float[AnyArray, "lengths"], shears: Float[AnyArray, "shears"], d: int
    ) -> Float[AnyArray, ""]:
        """Log l."""
        return jnp.sum(log_lengths)


@dataclasses.dataclass(frozen=True)
class Diag(Scale):
    """A = diag(l): one length per axis. Free entries: the diagonal."""

    def n_lengths(self, d: int) -> int:
        """One per axis."""
        return d

    def constrain(
        self, log_lengths: Float[AnyArray, "lengths"], shears: Float[AnyArray, "shears"], d: int
    ) -> tuple[Float[AnyArray, "d d"], Float[AnyArray, ""]]:
        """Scale diag(l) and sum log l."""
        return jnp.diag(jnp.exp(log_lengths)), jnp.sum(log_lengths)

    def unconstrain(self, A: Float[AnyArray, "d d"]) -> tuple[Float[AnyArray, "lengths"], Float[AnyArray, "shears"]]:
        """Lengths sqrt(diag(A A^T)), which keep the marginal sds of a scale outside the family."""
        return _log_lengths(A), jnp.zeros(0, A.dtype)

    def directions(self, d: int) -> Float[np.ndarray, "c d d"]:
        """One relative length per axis."""
        return np.stack([np.diag(row) for row in np.eye(d)])

    def log_jacobian(
        self, log_lengths: Float[AnyArray, "lengths"], shears: Float[AnyArray, "shears"], d: int
    ) -> Float[AnyArray, ""]:
        """Sum log l."""
        return jnp.sum(log_lengths)


@dataclasses.dataclass(frozen=True)
class Full(Scale):
    """A = diag(l) L(w): any lower-triangular A with positive diagonal. Free entries: the lower triangle."""

    def n_lengths(self, d: int) -> int:
        """One per axis."""
        return d

    def constrain(
        self, log_lengths: Float[AnyArray, "lengths"], shears: Float[AnyArray, "shears"], d: int
    ) -> tuple[Float[AnyArray, "d d"], Float[AnyArray, ""]]:
        """Scale l_r tanh(w_rc) prod_(c' < c) sech(w_rc'), and log |det A| = sum log l + sum log sech w."""
        w = jnp.zeros((d, d), shears.dtype).at[_rows_and_columns(self, d)].set(shears)
        log_sech = _log_sech(w)
        log_stick = jnp.cumsum(log_sech, axis=1) - log_sech  # over the columns before c
        L = (jnp.tanh(w) + jnp.eye(d, dtype=w.dtype)) * jnp.exp(log_stick)
        return jnp.exp(log_lengths)[:, None] * L, jnp.sum(log_lengths) + jnp.sum(_log_sech(shears))

    def unconstrain(self, A: Float[AnyArray, "d d"]) -> tuple[Float[AnyArray, "lengths"], Float[AnyArray, "shears"]]:
        """Lengths sqrt(diag(A A^T)) and shears w_rc = arsinh(A_rc / |A_r,c+1:|)."""
        rows, columns = _rows_and_columns(self, A.shape[0])
        # Sums from the right: 1 - (sum from the left) would cancel for nearly singular A.
        tails = jnp.cumsum(jnp.square(A)[:, ::-1], axis=1)[:, ::-1]
        return _log_lengths(A), jnp.arcsinh(A[rows, columns] / jnp.sqrt(tails[rows, columns + 1]))

    def directions(self, d: int) -> Float[np.ndarray, "c d d"]:
        """One relative length per axis, then the entries below the diagonal row by row."""
        rows, columns = (np.append(np.arange(d), index) for index in _rows_and_columns(self, d))
        basis = np.zeros((rows.size, d, d))
        basis[np.arange(rows.size), rows, columns] = 1.0
        return basis

    def log_jacobian(
        self, log_lengths: Float[AnyArray, "lengths"], shears: Float[AnyArray, "shears"], d: int
    ) -> Float[AnyArray, ""]:
        """Sum_r (r + 1) log l_r + sum_rc (r - c) log sech w_rc: row r in polar coordinates of R^(r+1), r from 0."""
        rows, columns = _rows_and_columns(self, d)
        powers = jnp.arange(1, d + 1, dtype=log_lengths.dtype)
        return jnp.dot(powers, log_lengths) + jnp.sum((rows - columns) * _log_sech(shears))


def family(name: str) -> Scale:
    """Family named "spherical", "diag" or "full"."""
    families: dict[str, Scale] = {"spherical": Spherical(), "diag": Diag(), "full": Full()}
    return families[one_of("covariance", name, tuple(families))]


def inverse(A: Float[AnyArray, "d d"]) -> Float[AnyArray, "d d"]:
    """A^{-1} by forward substitution, written out: many small ones at once take LAPACK a call each."""
    rows: list[AnyArray] = []
    for above, one in zip(A, jnp.eye(A.shape[0], dtype=A.dtype), strict=True):
        left = one - sum(above[t] * row for t, row in enumerate(rows))
        rows.append(left / above[len(rows)])
    return jnp.stack(rows)


def _rows_and_columns(scale: Scale, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Place of each shear below the diagonal, row by row; empty for families without shears."""
    return np.tril_indices(d if isinstance(scale, Full) else 0, -1)


def _log_lengths(A: Float[AnyArray, "d d"]) -> Float[AnyArray, "d"]:
    """Log marginal sds: half the log of diag(A A^T)."""
    return 0.5 * jnp.log(jnp.sum(jnp.square(A), axis=1))


def _log_sech(w: Float[AnyArray, "..."]) -> Float[AnyArray, "..."]:
    """Log sech w = log(1 - tanh(w)^2) / 2, without overflow."""
    return math.log(2.0) - jnp.logaddexp(w, -w)
