"""The mothers there are: smooth, with a cusp, with heavy tails, with compact support, and flat with sharp edges."""

import dataclasses
import math

import jax.numpy as jnp
from scipy.special import betaln, zeta

from bayesplat._checks import positive, positive_int
from bayesplat._typing import AnyArray, Float
from bayesplat.mothers.mother import Mother


def _root(t: Float[AnyArray, "..."]) -> Float[AnyArray, "..."]:
    """Radius sqrt(t), smoothed so that two derivatives at t = 0 are finite in float32 too."""
    return jnp.sqrt(t + 1e-20)


@dataclasses.dataclass(frozen=True)
class Gaussian(Mother):
    """Standard normal: exp(-r^2 / 2)."""

    def log_profile(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """-t / 2."""
        return -0.5 * t

    def slope(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """-1 / 2."""
        return jnp.full_like(t, -0.5)

    def moment(self, m: int, d: int) -> float:
        """2^((m-1)/2) Gamma((m+1)/2)."""
        return 2.0 ** (0.5 * (m - 1)) * math.gamma(0.5 * (m + 1))


@dataclasses.dataclass(frozen=True)
class Logistic(Mother):
    """Radial logistic: sech^2(r / 2), smooth with exponential tails."""

    def log_profile(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """2 log sech(r / 2)."""
        r = _root(t)
        return 2.0 * math.log(2.0) - r - 2.0 * jnp.log1p(jnp.exp(-r))

    def slope(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """-tanh(r / 2) / (2 r)."""
        r = _root(t)
        return -0.5 * jnp.tanh(0.5 * r) / r

    def moment(self, m: int, d: int) -> float:
        """4 m! eta(m), from sech^2(r/2) = 4 sum_j (-1)^(j-1) j exp(-j r)."""
        return 4.0 * math.factorial(m) * _dirichlet_eta(m)


def _dirichlet_eta(m: int) -> float:
    """Alternating zeta function sum_j (-1)^(j-1) j^(-m) = (1 - 2^(1-m)) zeta(m), summed by Abel at m = 0."""
    return {0: 0.5, 1: math.log(2.0)}[m] if m < 2 else (1.0 - 2.0 ** (1 - m)) * float(zeta(m))


@dataclasses.dataclass(frozen=True)
class Laplace(Mother):
    """Radial exponential: exp(-r), with a cusp at the centre."""

    def log_profile(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """-r."""
        return -_root(t)

    def slope(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """-1 / (2 r)."""
        return -0.5 / _root(t)

    def moment(self, m: int, d: int) -> float:
        """Gamma(m+1) = m!."""
        return float(math.factorial(m))


@dataclasses.dataclass(frozen=True)
class StudentT(Mother):
    """Multivariate Student-t: (1 + r^2 / df)^(-(df + d) / 2); identity covariance if df > 2, else the unscaled one."""

    df: float | int = 5.0

    def __post_init__(self) -> None:
        positive("df", self.df)

    def log_profile(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """-(df + d) / 2 log(1 + t / df)."""
        return -0.5 * (self.df + d) * jnp.log1p(t / self.df)

    def slope(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """-(df + d) / (2 (df + t))."""
        return -0.5 * (self.df + d) / (self.df + t)

    def moment(self, m: int, d: int) -> float:
        """df^((m+1)/2) Beta((m+1)/2, (df+d-m-1)/2) / 2."""
        rest = self.df + d - m - 1
        if rest <= 0:
            return math.inf
        return 0.5 * self.df ** (0.5 * (m + 1)) * _beta(0.5 * (m + 1), 0.5 * rest)


def _beta(a: float, b: float) -> float:
    """Euler's Beta function."""
    return math.exp(betaln(a, b))


@dataclasses.dataclass(frozen=True)
class Wendland(Mother):
    """Wendland's C2 function with compact support r < 1: (1 - r)^4 (4 r + 1)."""

    def log_profile(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """4 log(1 - r) + log(1 + 4 r), -inf outside the support."""
        r = _root(t)
        inside = r < 1
        return jnp.where(inside, 4.0 * jnp.log(jnp.where(inside, 1.0 - r, 1.0)) + jnp.log1p(4.0 * r), -jnp.inf)

    def profile(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """(1 - r)_+^4 (4 r + 1)."""
        r = _root(t)
        return jnp.maximum(1.0 - r, 0.0) ** 4 * (4.0 * r + 1.0)

    def slope(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """-10 / ((1 - r) (4 r + 1)), 0 outside the support."""
        r = _root(t)
        inside = r < 1
        return jnp.where(inside, -10.0 / (jnp.where(inside, 1.0 - r, 1.0) * (4.0 * r + 1.0)), 0.0)

    def moment(self, m: int, d: int) -> float:
        """Beta(m+1, 5) + 4 Beta(m+2, 5)."""
        return _beta(m + 1.0, 5.0) + 4.0 * _beta(m + 2.0, 5.0)


@dataclasses.dataclass(frozen=True)
class Box(Mother):
    """Smoothed indicator of a ball: exp(-r^(2 order)), flatter and sharper as `order` grows."""

    order: int = 4

    def __post_init__(self) -> None:
        positive_int("order", self.order)

    @property
    def sharp(self) -> bool:
        """From order 8 on: then heights fall from 0.9 to 0.1 within a fifth of the radius."""
        return self.order >= 8

    def log_profile(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """-t^order."""
        return -jnp.power(t, self.order)

    def slope(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """-order t^(order-1)."""
        return -self.order * jnp.power(t, self.order - 1)

    def moment(self, m: int, d: int) -> float:
        """Gamma((m+1) / (2 order)) / (2 order)."""
        return math.gamma(0.5 * (m + 1) / self.order) / (2.0 * self.order)
