"""Mother splats: radial densities rho on R^d with unit mass, mean 0 and, where it exists, identity covariance."""

import abc
import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from scipy.special import zeta

from bayesplat._checks import positive, positive_int
from bayesplat._typing import AnyArray, Float

__all__ = ["Box", "Gaussian", "Laplace", "Logistic", "Mother", "StudentT", "Wendland"]


@dataclasses.dataclass(frozen=True)
class Mother(abc.ABC):
    """A radial density rho(z) = rho(0) profile(|z|^2 / s_d^2) on R^d.

    A new mother writes `log_profile`, `slope` and `moment` in its own units; the radius s_d and the peak rho(0) that
    give identity covariance and unit mass follow from the moments. Being radial, A and AQ (Q orthogonal) name the
    same splat.
    """

    @abc.abstractmethod
    def log_profile(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """Log of the unscaled profile at squared radius t >= 0; 0 at t = 0."""

    @abc.abstractmethod
    def slope(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """Return d log_profile / dt; finite at t = 0."""

    @abc.abstractmethod
    def moment(self, m: int, d: int) -> float:
        """Integrate r^m profile(r^2) over r in (0, inf); `math.inf` where it diverges."""

    def profile(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """Unscaled profile at squared radius t; 1 at t = 0."""
        return jnp.exp(self.log_profile(t, d))

    def has_covariance(self, d: int) -> bool:
        """Whether rho has second moments on R^d."""
        return math.isfinite(self.moment(d + 1, d))

    def radius(self, d: int) -> float:
        """Radius s_d with s_d^2 = d M(d-1) / M(d+1), so that Cov(rho) = I; 1 where rho has no covariance."""
        return math.sqrt(d * self.moment(d - 1, d) / self.moment(d + 1, d)) if self.has_covariance(d) else 1.0

    def log_peak(self, d: int) -> float:
        """Log rho(0) = -log(s_d^d |S^(d-1)| M(d-1)), with |S^(d-1)| = 2 pi^(d/2) / Gamma(d/2)."""
        log_sphere = math.log(2.0) + 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d)
        return -(d * math.log(self.radius(d)) + log_sphere + math.log(self.moment(d - 1, d)))

    def height(self, q: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """Value rho(z) / rho(0) at q = |z|^2, elementwise; differentiable everywhere, q = 0 included."""
        return _height(self, d, jnp.asarray(q))

    def log_density(self, z: Float[AnyArray, "d"]) -> Float[AnyArray, ""]:
        """Log rho(z)."""
        (d,) = z.shape
        return self.log_peak(d) + self.log_profile(jnp.vdot(z, z) / self.radius(d) ** 2, d)

    def density(self, z: Float[AnyArray, "d"]) -> Float[AnyArray, ""]:
        """Value rho(z)."""
        (d,) = z.shape
        return math.exp(self.log_peak(d)) * self.height(jnp.vdot(z, z), d)

    def grad_log_density(self, z: Float[AnyArray, "d"]) -> Float[AnyArray, "d"]:
        """Gradient of log rho at z: 2 slope(|z|^2 / s_d^2) z / s_d^2; 0 outside a compact support."""
        (d,) = z.shape
        scale = self.radius(d) ** 2
        return 2.0 / scale * self.slope(jnp.vdot(z, z) / scale, d) * jnp.asarray(z)


# Autodiff of a profile in r = sqrt(t) loses all digits near the centre (0/0), so derivatives of heights use `slope`.
@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _height(mother: Mother, d: int, q: AnyArray) -> AnyArray:
    return mother.profile(q / mother.radius(d) ** 2, d)


@_height.defjvp
def _height_jvp(mother: Mother, d: int, primals: tuple, tangents: tuple) -> tuple:
    (q,), (dq,) = primals, tangents
    scale = mother.radius(d) ** 2
    height = _height(mother, d, q)
    # A slope may overflow where the height has underflowed to 0.
    change = jnp.where(height > 0, height * mother.slope(q / scale, d), 0.0)
    return height, change / scale * dq


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
    return math.exp(math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b))


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

    def log_profile(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """-t^order."""
        return -jnp.power(t, self.order)

    def slope(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """-order t^(order-1)."""
        return -self.order * jnp.power(t, self.order - 1)

    def moment(self, m: int, d: int) -> float:
        """Gamma((m+1) / (2 order)) / (2 order)."""
        return math.gamma(0.5 * (m + 1) / self.order) / (2.0 * self.order)
