"""Priors on the geometry of splats: axis lengths and shears (the scale A) and centres (b), all on the unit box."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpyro import distributions as dist
from numpyro.distributions import constraints

from bayesplat._checks import is_number, positive, require
from bayesplat._typing import AnyArray, Sites
from bayesplat.priors.sites import SiteTable, vector
from bayesplat.scales import Scale

PER_SPLAT = frozenset({"deviation", "excess", "shear", "centre"})
"""Geometry sites with one row per splat; the others are shared by all."""


WIDEST = 20.0
"""Largest log excess that lengths follow: a splat wider than 5e8 boxes is constant over the data, and exp overflows."""


class Box(NamedTuple):
    """What the geometry priors know of the inputs: their number and how densely data lie in the unit box."""

    d: int  # number of inputs
    spacing: Float[AnyArray, ""] | float  # typical distance between neighbouring inputs, per axis
    grid: Float[AnyArray, ""] | float  # spacing of a regular grid with as many distinct points, n^(-1/d)
    narrowest: Float[AnyArray, ""] | float  # splats allowed, in spacings; the likelihood says

    @property
    def gap(self) -> Float[AnyArray, ""]:
        """Distance between neighbouring inputs, per axis: the typical one, or that of a regular grid if shorter."""
        return jnp.minimum(self.spacing, self.grid)

    @property
    def floor(self) -> Float[AnyArray, ""]:
        """Shortest axis length allowed."""
        return self.narrowest * self.gap

    def log_lengths(self, excess: Float[AnyArray, "k q"]) -> Float[AnyArray, "k q"]:
        """Log axis lengths from the excess: log(floor + exp(excess)), the excess `WIDEST` at most."""
        return jnp.logaddexp(jnp.minimum(excess, WIDEST), jnp.log(self.floor))

    def excess(self, lengths: Float[AnyArray, "*k"]) -> Float[AnyArray, "*k"]:
        """The excess of axis lengths; those at the floor or below end a tenth of it above."""
        return jnp.log(jnp.maximum(lengths - self.floor, 0.1 * self.floor))


class Shear(dist.Distribution):
    """Shear w = atanh(partial correlation) under the LKJ prior: density proportional to cosh(w)^(-2 alpha).

    Written out because the pushed-forward Beta loses all precision once tanh(w) rounds to 1
    (lewandowski2009 gives alpha for each pair of inputs).
    """

    arg_constraints = {"alpha": constraints.positive}  # noqa: RUF012 - the library's own protocol
    support = constraints.real  # pyright: ignore
    reparametrized_params = []  # noqa: RUF012

    def __init__(self, alpha: AnyArray) -> None:
        self.alpha: jax.Array = jnp.asarray(alpha)
        super().__init__(batch_shape=jnp.shape(self.alpha))

    def sample(self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Draw w = logit(B) / 2 with B ~ Beta(alpha, alpha)."""
        assert key is not None
        shape = sample_shape + self.batch_shape
        first, second = jax.random.split(key)
        return 0.5 * (jax.random.loggamma(first, self.alpha, shape) - jax.random.loggamma(second, self.alpha, shape))

    def log_prob(self, value: AnyArray, intermediates: None = None) -> jax.Array:  # pyright: ignore
        """Log density of w."""
        log_cosh = jnp.logaddexp(value, -value) - jnp.log(2.0)
        norm = jax.scipy.special.betaln(self.alpha, self.alpha) + (2 * self.alpha - 1) * jnp.log(2.0)
        return -2 * self.alpha * log_cosh - norm


class Deviation(dist.StudentT):
    """Standard Student-t drawn from two uniform numbers (bailey1994): a Gamma sampler takes a second to compile."""

    def sample(self, key: jax.Array | None, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Draw sqrt(df (u^(-2 / df) - 1)) cos(2 pi v)."""
        assert key is not None
        df = jnp.asarray(self.df)
        # in (0, 1], where the logarithm is finite
        u, v = 1 - jax.random.uniform(key, (2, *sample_shape, *self.batch_shape))
        return jnp.sqrt(df * jnp.expm1(-2 / df * jnp.log(u))) * jnp.cos(2 * np.pi * v)


@dataclass(frozen=True)
class Lengths:
    """Hierarchical prior on log axis lengths: a location per axis of a scale, one spread, heavy-tailed deviations.

    log(l_ij - floor) = location_j + spread * deviation_ij, with deviation ~ Student-t(tails).
    Lengths are fractions of the input's range: l = 0.1 is a splat whose sd is a tenth of the data's extent.
    """

    typical: float | None = None
    """Prior median of what a length has beyond the floor (a fourth of the data's spacing, a whole one beside Student-t
    noise); None means the geometric mean of the box and the data spacing, n^(-1/(2d))."""
    uncertainty: float = 0.7
    """Prior sd of each input's log location."""
    spread: float = 0.6
    """Prior median of the scale of log lengths between splats (log sd of that spread: 0.4), a Student-t's: their sd is
    larger by (tails / (tails - 2))^(1/2)."""
    tails: float = 4.0
    """Degrees of freedom of the deviations: small values allow a few much narrower or wider splats."""
    lkj: float = 1.0
    """LKJ concentration of the correlations of a full scale; 1 is uniform, larger means rounder splats."""

    def __post_init__(self) -> None:
        for name in ("uncertainty", "spread", "tails", "lkj"):
            positive(name, getattr(self, name))
        if self.typical is not None:
            positive("typical", self.typical)

    def median(self, box: Box) -> Float[AnyArray, ""]:
        """Prior median of what a length has beyond the floor, as a fraction of the box."""
        return jnp.sqrt(box.grid) if self.typical is None else jnp.asarray(self.typical)

    def precision(self, box: Box) -> Float[AnyArray, ""]:
        """Inverse square of the median prior scale of a log length: what is known of it before any data."""
        return jnp.asarray(self.spread**-2.0)

    def sites(self, k: int, family: Scale, box: Box) -> SiteTable:
        """Sites `location`, `spread` and `deviation`; the shears are the caller's `shear_sites`."""
        q = family.n_lengths(box.d)
        return {
            "location": vector(dist.Normal(jnp.log(self.median(box)), self.uncertainty), q),
            "spread": dist.LogNormal(np.log(self.spread), 0.4),
            "deviation": vector(Deviation(self.tails), k, q),
        }

    def excess(self, values: Sites) -> Float[AnyArray, "k q"]:
        """Log of each axis length beyond the floor, log(l - floor)."""
        return values["location"][None, :] + values["spread"] * values["deviation"]

    def own(self, values: Sites, excess: Float[AnyArray, "k q"]) -> Sites:
        """The site of every splat's own that gives these excess lengths, what splats share being as in `values`."""
        return {"deviation": (excess - values["location"][None, :]) / values["spread"]}

    def own_density(self, values: Sites, excess: Float[AnyArray, "k q"], box: Box) -> Float[AnyArray, " k"]:
        """Log density of every splat's excess lengths, given what splats share."""
        return jnp.sum(self._deviate(self.own(values, excess)["deviation"], values), -1)

    def _deviate(self, deviation: Float[AnyArray, "k q"], shared: Sites) -> Float[AnyArray, "k q"]:
        """Log density of the excess lengths of these deviations."""
        return Deviation(self.tails).log_prob(deviation) - jnp.log(shared["spread"])

    @property
    def shared_sites(self) -> frozenset[str]:
        """Sites that the lengths of all splats share."""
        return frozenset({"location", "spread"})

    def recentred(self, values: Sites, shared: Sites) -> tuple[Sites, Float[AnyArray, ""]]:
        """Other shared sites and the deviations that keep all lengths, with the log density of those lengths."""
        own = self.own(shared, self.excess(values))
        return {**shared, **own}, jnp.sum(self._deviate(own["deviation"], shared))

    def start(self, excess: Float[AnyArray, "k q"], location: Float[AnyArray, " q"], box: Box) -> Sites:
        """Values of the sites that give these excess lengths."""
        shared: Sites = {"location": jnp.asarray(location), "spread": jnp.asarray(self.spread)}
        return {**shared, **self.own(shared, excess)}

    def log_density(
        self, excess: Float[AnyArray, "k q"], location: Float[AnyArray, " q"], box: Box
    ) -> tuple[Float[AnyArray, " k"], Float[AnyArray, ""]]:
        """Log prior of each splat's lengths (0 at its mode) and of the location, the spread held at its median.

        Maximised over, the spread would collapse to 0; so point fits hold it and only samplers move it.
        """
        deviation = (excess - location[None, :]) / self.spread
        per_splat = -0.5 * (self.tails + 1) * jnp.log1p(deviation**2 / self.tails).sum(-1)
        return per_splat, dist.Normal(jnp.log(self.median(box)), self.uncertainty).log_prob(location).sum()


@dataclass(frozen=True)
class FreeLengths(Lengths):
    """Logs of what lengths have beyond the floor uniform, between the floor and the box (only for comparison)."""

    def sites(self, k: int, family: Scale, box: Box) -> SiteTable:
        """The one site `excess`."""
        return {"excess": vector(dist.Uniform(jnp.log(box.floor), 0.0), k, family.n_lengths(box.d))}

    def precision(self, box: Box) -> Float[AnyArray, ""]:
        """Inverse variance of a log length uniform between the floor and the box."""
        return 12 / jnp.log(box.floor) ** 2

    def excess(self, values: Sites) -> Float[AnyArray, "k q"]:
        """Log of each axis length beyond the floor, log(l - floor)."""
        return values["excess"]

    def own(self, values: Sites, excess: Float[AnyArray, "k q"]) -> Sites:
        """These excess lengths."""
        return {"excess": excess}

    def own_density(self, values: Sites, excess: Float[AnyArray, "k q"], box: Box) -> Float[AnyArray, " k"]:
        """Log density of every splat's excess lengths: uniform in the bounds, none outside."""
        shortest = jnp.log(box.floor)
        within = jnp.all((excess >= shortest) & (excess <= 0), -1)
        return jnp.where(within, -excess.shape[-1] * jnp.log(-shortest), -jnp.inf)

    @property
    def shared_sites(self) -> frozenset[str]:
        """None."""
        return frozenset()

    def start(self, excess: Float[AnyArray, "k q"], location: Float[AnyArray, " q"], box: Box) -> Sites:
        """Values of the site that give these excess lengths, kept just inside its bounds."""
        return {"excess": jnp.clip(excess, jnp.log(box.floor) * 0.99, jnp.log(box.floor) * 0.01)}

    def log_density(
        self, excess: Float[AnyArray, "k q"], location: Float[AnyArray, " q"], box: Box
    ) -> tuple[Float[AnyArray, " k"], Float[AnyArray, ""]]:
        """A flat density inside the bounds and a quadratic wall outside; the location is held by a standard normal."""
        outside = jnp.maximum(excess, 0.0) + jnp.maximum(jnp.log(box.floor) - excess, 0.0)
        return -200.0 * jnp.sum(outside**2, -1), -0.5 * jnp.sum((location - jnp.log(self.median(box))) ** 2)


@dataclass(frozen=True)
class Centres:
    """Uniform prior on centres over the unit box plus a margin on every side."""

    margin: float = 0.1
    """How far beyond the data a centre may lie, as a fraction of each input's range."""

    def __post_init__(self) -> None:
        given = is_number(self.margin) and 0 <= self.margin <= 10
        require(given, f"Expected `margin` between 0 and 10, got {self.margin!r}.")

    def sites(self, k: int, box: Box) -> SiteTable:
        """The one site `centre`."""
        return {"centre": vector(dist.Uniform(-self.margin - 1e-6, 1 + self.margin + 1e-6), k, box.d)}

    @property
    def precision(self) -> float:
        """Inverse variance of one coordinate of a centre: 12 over the square of the width of its range."""
        return 12 / (1 + 2 * self.margin) ** 2

    def start(self, b: Float[AnyArray, "k d"]) -> Sites:
        """Values of the site at these centres, kept just inside the bounds."""
        inset = 0.01 * (1 + 2 * self.margin)
        return {"centre": jnp.clip(b, -self.margin + inset, 1 + self.margin - inset)}

    def log_density(self, b: Float[AnyArray, "k d"]) -> Float[AnyArray, " k"]:
        """Zero inside the bounds, a quadratic wall outside: a differentiable stand-in for point fits."""
        outside = jnp.maximum(jnp.abs(b - 0.5) - 0.5 - self.margin, 0.0)
        return -2000.0 * jnp.sum(outside**2, -1)


def shear_sites(k: int, family: Scale, d: int, lkj: float) -> SiteTable:
    """The site `shear` of a full scale family; empty for the others."""
    if family.n_shears(d) == 0:
        return {}
    alpha = jnp.broadcast_to(jnp.asarray(family.lkj_alpha(d, lkj)), (k, family.n_shears(d)))
    return {"shear": Shear(alpha).to_event(2)}
