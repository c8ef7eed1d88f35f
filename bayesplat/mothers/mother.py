"""What makes a radial density a mother splat: unit mass, mean 0 and, where it exists, identity covariance."""

import abc
import dataclasses
import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from bayesplat._typing import AnyArray, Bool, Float


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

    @property
    def sharp(self) -> bool:
        """Whether heights fall within less than data may resolve: gradients then do not say where an edge belongs."""
        return False

    def profile(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """Unscaled profile at squared radius t; 1 at t = 0."""
        # an exponential by itself: XLA takes twice to four times as long for one that it fuses with what it is of
        return jnp.exp(jax.lax.optimization_barrier(self.log_profile(t, d)))

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

    @property
    def kinds(self) -> tuple["Mother", ...]:
        """The mothers that splats take in turn: splat i has kinds[i mod len(kinds)]."""
        return (self,)

    @property
    def edged(self) -> bool:
        """Whether any of its kinds is sharp."""
        return any(one.sharp for one in self.kinds)

    def turns(self, k: int) -> list["Mother"]:
        """The mother of each of k splats."""
        return [self.kinds[i % len(self.kinds)] for i in range(k)]

    def in_slot[T](self, slot: Int[AnyArray, ""], f: Callable[["Mother"], T]) -> T:
        """Value f(mother) for the mother of the splat in one slot, which may be traced."""
        return f(self)

    def crowded(self, live: Bool[np.ndarray, "k"]) -> bool:
        """Whether all splats of one of the mothers live, so that no more of it can be born."""
        turns = len(self.kinds)
        return any(bool(live[kind::turns].all()) for kind in range(turns))

    def log_peaks(self, k: int, d: int) -> Float[np.ndarray, "k"]:
        """Log rho(0) of k splats."""
        return np.resize([kind.log_peak(d) for kind in self.kinds], k)

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

    def grad_log_density(self, z: Float[AnyArray, "*k d"]) -> Float[AnyArray, "*k d"]:
        """Gradients of log rho at all z: 2 slope(|z|^2 / s_d^2) z / s_d^2; 0 outside a compact support."""
        z, d = jnp.asarray(z), z.shape[-1]
        scale = self.radius(d) ** 2
        return 2.0 / scale * self.slope(jnp.sum(z**2, -1) / scale, d)[..., None] * z


# Autodiff of a profile in r = sqrt(t) loses all digits near the centre (0/0), so derivatives of heights use `slope`.
@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _height(mother: Mother, d: int, q: AnyArray) -> AnyArray:
    return mother.profile(q / mother.radius(d) ** 2, d)


@_height.defjvp
def _height_jvp(mother: Mother, d: int, primals: tuple, tangents: tuple) -> tuple:
    (q,), (dq,) = primals, tangents
    scale = mother.radius(d) ** 2
    height = _height(mother, d, q)
    # A slope may overflow where the height has underflowed to 0, and 0 times its own slope would be NaN.
    seen = height > 0
    change = jnp.where(seen, height * mother.slope(jnp.where(seen, q, 0.0) / scale, d), 0.0)
    return height, change / scale * dq
