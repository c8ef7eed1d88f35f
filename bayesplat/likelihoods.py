"""Likelihoods: how data scatter about f, with constant or input-dependent noise.

All of them are Gaussian given their sites, y_i ~ N(f_i, variance_i), so that amplitudes can be integrated out.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betainc
from jax.scipy.stats import norm
from jax.scipy.stats import t as student
from jaxtyping import Float
from numpyro import distributions as dist
from scipy.cluster.vq import kmeans2
from scipy.special import gammainccinv, logsumexp

from bayesplat._checks import one_of, positive, positive_int, require
from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.priors.sites import SiteTable, vector

FLOOR = 1e-5
"""Smallest noise sd, in sds of y: keeps the collapsed density finite in float64 when data are noise-free."""

NOISE_FREE = 3 * FLOOR
"""Noise below this, in sds of y, is none."""


class NoiseField(NamedTuple):
    """Wide fixed bumps whose weighted sum is log sigma(x) about its mean over the data; no bumps, constant noise."""

    centres: np.ndarray  # (g, d) on the unit box
    width: float  # sd of every bump
    offset: np.ndarray  # (g,) mean of every bump over the data, so that sigma is the geometric mean noise

    def features(self, x: Float[AnyArray, "n d"]) -> Float[AnyArray, "n g"]:
        """Values of the bumps at inputs on the unit box."""
        square = ((x[:, None, :] - self.centres[None, :, :]) ** 2).sum(-1)
        # NumPy for NumPy: what is bound to a model need not be compiled
        exp = np.exp if isinstance(square, np.ndarray) else jnp.exp
        return exp(-0.5 * square / self.width**2) - self.offset[None, :]


def noise_field(x: Float[np.ndarray, "n d"], n_bumps: int) -> NoiseField:
    """Bumps on a regular grid (d = 1) or at k-means centres of x (d >= 2), as wide as 0.7 of their spacing."""
    d = x.shape[1]
    if d == 1 or n_bumps < 2:
        centres = np.linspace(0.0, 1.0, n_bumps)[:, None] * np.ones((1, d))
        spacing = 1.0 / max(n_bumps - 1, 1)
    else:
        centres, _ = kmeans2(x, min(n_bumps, len(np.unique(x, axis=0))), minit="++", rng=np.random.default_rng(0))
        gap = np.linalg.norm(centres[:, None] - centres[None], axis=-1) + 1e6 * np.eye(len(centres))
        spacing = float(np.median(gap.min(1)))
    field = NoiseField(centres, 0.7 * spacing, np.zeros(len(centres)))
    return field._replace(offset=field.features(x).mean(0))


@dataclass(frozen=True)
class Normal:
    """Gaussian noise: sigma ~ HalfNormal(scale); with `noise="varying"`, log sigma(x) is a sum of wide bumps."""

    noise: str = "constant"
    """"constant", or "varying" for noise that changes with x."""
    scale: float = 1.0
    """Scale of the prior on sigma, in sds of y."""
    n_bumps: int = 8
    """Number of bumps of log sigma(x), each with weight N(0, 1); used with varying noise only."""
    narrowest: ClassVar[float] = 0.25
    """Shortest axis length of a splat, in spacings of the data: a narrower one touches one datum at most."""

    def __post_init__(self) -> None:
        one_of("noise", self.noise, ("constant", "varying"))
        positive("scale", self.scale)
        positive_int("n_bumps", self.n_bumps)

    def field(self, x: Float[np.ndarray, "n d"]) -> NoiseField:
        """The noise field that suits these inputs."""
        return noise_field(x, self.n_bumps if self.noise == "varying" else 0)

    def sites(self, n: int, g: int) -> SiteTable:
        """Sites `sigma` (geometric mean noise sd) and, for g > 0 bumps, `noise_weight`."""
        weights: SiteTable = {"noise_weight": vector(dist.Normal(0.0, 1.0), g)} if g else {}
        return {"sigma": dist.HalfNormal(self.scale), **weights}

    def start(self, n: int, g: int) -> Sites:
        """Values of the sites before anything is known."""
        weights = {"noise_weight": jnp.zeros(g)} if g else {}
        return {"sigma": jnp.asarray(0.3 * self.scale), **weights}

    def sd(self, values: Sites, features: Float[AnyArray, "n g"]) -> Float[AnyArray, " n"]:
        """Scale of the noise at inputs with these noise features."""
        log_ratio = features @ values["noise_weight"] if features.shape[1] else jnp.zeros(features.shape[0])
        return jnp.sqrt((values["sigma"] * jnp.exp(log_ratio)) ** 2 + FLOOR**2)

    def data_sd(self, values: Sites, features: Float[AnyArray, "n g"]) -> Float[AnyArray, " n"]:
        """Sd of every datum about f, given all sites."""
        return self.sd(values, features)

    def log_density(
        self, y: Float[AnyArray, "..."], f: Float[AnyArray, "..."], sd: Float[AnyArray, "..."]
    ) -> Float[AnyArray, "..."]:
        """Log density of y given f and the noise scale."""
        return norm.logpdf(y, f, sd)

    def cdf(
        self, y: Float[AnyArray, "..."], f: Float[AnyArray, "..."], sd: Float[AnyArray, "..."]
    ) -> Float[AnyArray, "..."]:
        """Distribution function of y given f and the noise scale."""
        return norm.cdf(y, f, sd)

    def log_predictive(
        self,
        y: Float[AnyArray, " n"],
        mean: Float[AnyArray, " n"],
        var: Float[AnyArray, " n"],
        sd: Float[AnyArray, " n"],
    ) -> tuple[Float[AnyArray, " n"], Float[AnyArray, " n"]]:
        """Log density and distribution function of y when f ~ N(mean, var)."""
        total = jnp.sqrt(var + sd**2)
        return norm.logpdf(y, mean, total), norm.cdf(y, mean, total)

    def variance(self, sd: Float[AnyArray, "..."]) -> Float[AnyArray, "..."]:
        """Variance of y given f and the noise scale."""
        return sd**2

    def noise_draw(self, key: Key, sd: Float[AnyArray, "..."]) -> Float[AnyArray, "..."]:
        """One draw of y - f."""
        return sd * jax.random.normal(key, sd.shape, sd.dtype)


@dataclass(frozen=True)
class StudentT(Normal):
    """Student-t noise as a scale mixture, y_i ~ N(f_i, sigma^2 / w_i), w_i ~ Gamma(df/2, df/2): outliers weigh less."""

    df: float = 4.0
    """Degrees of freedom: small values expect many outliers; must be above 2 so that the noise has a variance."""
    narrowest: ClassVar[float] = 1.0
    """Four times that of Gaussian noise: what a single datum says is an outlier before it is a splat."""

    def __post_init__(self) -> None:
        super().__post_init__()
        enough = positive("df", self.df) > 2
        require(enough, f"Expected `df` above 2, so that the noise has a variance, got {self.df!r}.")

    def sites(self, n: int, g: int) -> SiteTable:
        """The sites of the Gaussian and the mixing weights `mixing` of every datum."""
        return {**super().sites(n, g), "mixing": vector(dist.Gamma(self.df / 2, self.df / 2), n)}

    def start(self, n: int, g: int) -> Sites:
        """Values of the sites before anything is known."""
        return {**super().start(n, g), "mixing": jnp.ones(n)}

    def data_sd(self, values: Sites, features: Float[AnyArray, "n g"]) -> Float[AnyArray, " n"]:
        """Sd of every datum about f, given the mixing weights."""
        return self.sd(values, features) / jnp.sqrt(values["mixing"])

    def log_density(
        self, y: Float[AnyArray, "..."], f: Float[AnyArray, "..."], sd: Float[AnyArray, "..."]
    ) -> Float[AnyArray, "..."]:
        """Log density of y given f and the noise scale, the mixing weight integrated out."""
        return student.logpdf(y, self.df, f, sd)

    def cdf(
        self, y: Float[AnyArray, "..."], f: Float[AnyArray, "..."], sd: Float[AnyArray, "..."]
    ) -> Float[AnyArray, "..."]:
        """Distribution function of y given f and the noise scale, the mixing weight integrated out."""
        z = (y - f) / sd
        tail = 0.5 * betainc(self.df / 2, 0.5, self.df / (self.df + z**2))
        return jnp.where(z > 0, 1 - tail, tail)

    def log_predictive(
        self,
        y: Float[AnyArray, " n"],
        mean: Float[AnyArray, " n"],
        var: Float[AnyArray, " n"],
        sd: Float[AnyArray, " n"],
    ) -> tuple[Float[AnyArray, " n"], Float[AnyArray, " n"]]:
        """Log density and distribution function of y when f ~ N(mean, var): quadrature over the mixing weight.

        One node after the other: side by side their hundreds would take hundreds of times the memory of y.
        """

        def add(
            sums: tuple[AnyArray, AnyArray], node: tuple[AnyArray, AnyArray]
        ) -> tuple[tuple[AnyArray, AnyArray], None]:
            (log_density, cdf), (w, log_weight) = sums, node
            total = jnp.sqrt(var + sd**2 / w)
            log_density = jnp.logaddexp(log_density, norm.logpdf(y, mean, total) + log_weight)
            return (log_density, cdf + jnp.exp(log_weight) * norm.cdf(y, mean, total)), None

        nodes, log_weights = (jnp.asarray(each, y.dtype) for each in _gamma_quadrature(self.df))
        return jax.lax.scan(add, (jnp.full_like(y, -jnp.inf), jnp.zeros_like(y)), (nodes, log_weights))[0]

    def variance(self, sd: Float[AnyArray, "..."]) -> Float[AnyArray, "..."]:
        """Variance of y given f and the noise scale."""
        return sd**2 * self.df / (self.df - 2)

    def noise_draw(self, key: Key, sd: Float[AnyArray, "..."]) -> Float[AnyArray, "..."]:
        """One draw of y - f."""
        return sd * jax.random.t(key, self.df, sd.shape, sd.dtype)


@lru_cache
def _gamma_quadrature(df: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and log weights of the trapezoid rule in log w for w ~ Gamma(df/2, df/2).

    Gauss-Laguerre has no nodes near w = 0, where the weight of an outlier lies: 26 nats wrong at 50 sds for df = 4.
    The weight of one at z sds is near (df + 1) / z^2, and with noise at its floor z may reach 1e7.
    """
    a = df / 2
    low, high = np.log(1e-14), np.log(gammainccinv(a, 1e-18) / a)
    log_w = np.arange(low, high, min(0.5, 0.6 / np.sqrt(a)))
    log_weights = a * (log_w - np.exp(log_w))
    return np.exp(log_w), log_weights - logsumexp(log_weights)
