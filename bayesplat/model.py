"""The model: a specification, bound to data, with its pure log joint and collapsed densities on the unit box."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from bayesplat import blocks, collapsed
from bayesplat._checks import require
from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.collapsed import Collapsed, Factor, Weighted
from bayesplat.devices import jit_once
from bayesplat.evaluate import heights, sum_over_rows
from bayesplat.likelihoods import NoiseField, Normal
from bayesplat.operators import Identity, Operator
from bayesplat.priors import Box, Context, Lengths, Ridge
from bayesplat.priors.sites import SiteTable, draw, log_density
from bayesplat.specification import Geometry, Specification, geometry, geometry_sites
from bayesplat.trend import PRIOR_SD, trend_features

OVERLAP_DRAWS, OVERLAP_ROWS = 512, 256  # prior splats and data behind the estimate of their mean square height


class Problem(eqx.Module):
    """A specification bound to standardised data; everything that the densities need, as one pytree."""

    x: Float[AnyArray, "n d"]
    y: Float[AnyArray, " n"]  # standardised, 0 where missing
    observed: Float[AnyArray, " n"]  # 1 or 0
    noise_features: Float[AnyArray, "n g"]
    overlap: Float[AnyArray, ""]  # mean square height of one splat over the data, a priori
    n_observed: Float[AnyArray, ""]
    spacing: Float[AnyArray, ""]  # typical distance of neighbouring data, per axis
    grid: Float[AnyArray, ""]  # n^(-1/d)
    temper: Float[AnyArray, ""]  # power of the likelihood: 1 but on the way from the prior to the posterior
    error: Float[AnyArray, " n"] | None  # known sd of the measurement of each y, standardised
    operator: Operator  # between f and the data
    spec: Specification = eqx.field(static=True)

    @property
    def d(self) -> int:
        """Number of inputs."""
        return self.x.shape[1]

    @property
    def n_trend(self) -> int:
        """Number of the trend's coefficients."""
        return trend_features(self.spec.trend, self.x[:1]).shape[1]

    @property
    def box(self) -> Box:
        """What the geometry priors know of the inputs."""
        return Box(self.d, self.spacing, self.grid, self.spec.likelihood.narrowest)

    @property
    def context(self) -> Context:
        """What the amplitude prior knows of the problem."""
        return Context(self.spec.n_splats, self.n_observed, self.overlap)

    @property
    def lengths(self) -> Lengths:
        """The prior on lengths, after the amplitude prior's say."""
        return self.spec.prior.lengths(self.spec.lengths)

    def sites(self) -> SiteTable:
        """Every parameter's prior, by name."""
        return {
            **geometry_sites(self.spec, self.box, self.spec.n_splats),
            **self.spec.prior.sites(self.spec.n_splats),
            **self.spec.likelihood.sites(self.x.shape[0], self.noise_features.shape[1]),
        }

    def geometry(self, values: Sites) -> Geometry:
        """Scales and centres at these values."""
        return geometry(self.spec, values, self.box)

    def columns(self, A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"]) -> Float[AnyArray, "n k"]:
        """What the data see of splats of unit height: their heights, in plain regression."""
        return self.operator.columns(A, b, self.x, self.spec.mother)

    def columns_in(
        self, slot: Int[AnyArray, ""], A: Float[AnyArray, "c d d"], b: Float[AnyArray, "c d"]
    ) -> Float[AnyArray, "n c"]:
        """What the data would see of candidates for one slot: they have the mother of its splat."""
        return self.spec.mother.in_slot(slot, lambda one: self.operator.columns(A, b, self.x, one))

    def columns_along(self, A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"]) -> list[Float[AnyArray, "n k"]]:
        """Derivatives of the columns as splats move along A L_s and A e_s, the frame that each of them carries."""
        return self.operator.columns_along(A, b, self.x, self.spec.mother, self.spec.scale_family.directions(self.d))

    def squares(
        self, A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"], weight: Float[AnyArray, " n"]
    ) -> Float[AnyArray, " k"]:
        """Sum over the data of the squared heights, weighted: sum_j (weight_j height_ij)^2, in blocks of rows."""

        def some(x: AnyArray, weight: AnyArray) -> AnyArray:
            return jnp.sum((heights(A, b, x, self.spec.mother) * weight[:, None]) ** 2, 0)

        return sum_over_rows(some, (self.x, weight), b.shape[0])

    def squares_along(
        self, A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"], weight: Float[AnyArray, " n"]
    ) -> Float[AnyArray, "r k"]:
        """The same of the columns' derivatives along the frame, those of sharp splats at the resolution of the data."""
        mother, directions = self.spec.mother, self.spec.scale_family.directions(self.d)
        sharp = np.array([one.sharp for one in mother.turns(b.shape[0])])

        def some(x: AnyArray, weight: AnyArray, operator: Operator) -> AnyArray:
            along = operator.columns_along(A, b, x, mother, directions)
            if sharp.any():
                across = operator.columns_across(A, b, x, mother, directions, self.spacing)
                along = [jnp.where(sharp, *both) for both in zip(across, along, strict=True)]
            # one product for each, and no array (r, n, k): a quarter of the time of a sum over all of them at once
            return jnp.stack([weight**2 @ one**2 for one in along])

        return sum_over_rows(some, (self.x, weight, self.operator), b.shape[0])

    def noise_sd(self, values: Sites) -> Float[AnyArray, " n"]:
        """Scale of the noise at the data: of what is left beside their known errors."""
        return self.spec.likelihood.sd(values, self.noise_features)

    def data_sd(self, values: Sites) -> Float[AnyArray, " n"]:
        """Sd of every datum about f, given all sites: noise and known error are independent."""
        sd = self.spec.likelihood.data_sd(values, self.noise_features)
        return sd if self.error is None else jnp.sqrt(sd**2 + self.error**2)

    def noise_size(self, values: Sites) -> Float[AnyArray, ""]:
        """Geometric mean over the data of what scatters them about f, which the priors on amplitudes may lean on."""
        if self.error is None:
            return values["sigma"]
        return jnp.exp(0.5 * jnp.mean(jnp.log(self.noise_sd(values) ** 2 + self.error**2)))

    def features(self, geometry: Geometry) -> Float[AnyArray, "n r"]:
        """Columns of all splats, then the trend's."""
        return self._features(geometry, self.x, self.operator)

    def _features(self, geometry: Geometry, x: Float[AnyArray, "n d"], operator: Operator) -> Float[AnyArray, "n r"]:
        trend = operator.trend(trend_features(self.spec.trend, x))
        return jnp.concatenate([operator.columns(geometry.A, geometry.b, x, self.spec.mother), trend], 1)

    def factor(self, values: Sites) -> Collapsed:
        """The collapsed system at these values: amplitudes and trend integrated out."""
        return self.factor_at(self.geometry(values), values)

    def factor_at(self, geometry: Geometry, values: Sites) -> Collapsed:
        """The collapsed system, when the geometry at these values is at hand."""
        return self.system(geometry, self.scales(values), self.data_sd(values))

    def system(self, geometry: Geometry, scales: Float[AnyArray, " k"], sd: Float[AnyArray, " n"]) -> Collapsed:
        """The collapsed system at these prior sds of the amplitudes and sds of the data."""
        features = self.features(geometry)
        return collapsed.factor(features, with_trend(scales, features.shape[1]), self.y, sd, self.observed)

    def scales(self, values: Sites) -> Float[AnyArray, " k"]:
        """Prior sds of the amplitudes."""
        return self.spec.prior.scales(values, self.context, self.noise_size(values))

    def weighted(self, geometry: Geometry, values: Sites) -> Weighted:
        """All columns and y in units of the noise, when the geometry at these values is at hand."""
        return collapsed.weigh(self.features(geometry), self.y, self.data_sd(values), self.observed)

    def log_joint(self, values: Sites) -> Float[AnyArray, ""]:
        """Log p(values) + log p(y | values), amplitudes and trend integrated out."""
        return log_density(self.sites(), values) + self.log_rest(values)

    def density(
        self, geometry: Geometry, scales: Float[AnyArray, " k"], sd: Float[AnyArray, " n"]
    ) -> tuple[Float[AnyArray, ""], Factor]:
        """Log density of the data given all but the coefficients, and what it says of these.

        In blocks of rows where the features would not stay in the processor's cache.
        """
        r = len(scales) + self.n_trend
        if self.x.shape[0] * r <= blocks.IN_CACHE:
            system = self.system(geometry, scales, sd)
            return collapsed.log_density(system), system.factor

        def weighted(x: AnyArray, weight: AnyArray, y: AnyArray, operator: Operator) -> tuple[AnyArray, AnyArray]:
            return self._features(geometry, x, operator) * weight[:, None], y * weight

        rows = (self.x, self.observed / sd, self.y, self.operator)
        value, factor = blocks.log_density(weighted, rows, with_trend(scales, r))
        return value - collapsed.log_volume(sd, self.observed), factor

    def log_rest(self, values: Sites) -> Float[AnyArray, ""]:
        """What the log joint holds beyond the sites' own priors: the collapsed likelihood and the repulsion."""
        geometry = self.geometry(values)
        penalty = self.spec.prior.log_penalty(geometry.A, geometry.b)
        return self.temper * self._log_likelihood(geometry, values) + penalty

    def log_likelihood(self, values: Sites) -> Float[AnyArray, ""]:
        """Log p(y | values), amplitudes and trend integrated out."""
        return self._log_likelihood(self.geometry(values), values)

    def _log_likelihood(self, geometry: Geometry, values: Sites) -> Float[AnyArray, ""]:
        return self.density(geometry, self.scales(values), self.data_sd(values))[0]

    def leave_one_out(self, values: Sites) -> tuple[Float[AnyArray, " n"], Float[AnyArray, " n"]]:
        """Log density and distribution function of every y_i under p(. | y_-i, values)."""
        mean, var = collapsed.leave_one_out(self.factor(values))
        # a known error is Gaussian, so it adds to the uncertainty of f, whatever the noise
        var = var if self.error is None else var + self.error**2
        return self.spec.likelihood.log_predictive(self.y, mean, var, self.noise_sd(values))

    def log_density(self, values: Sites, f: Float[AnyArray, " n"]) -> Float[AnyArray, " n"]:
        """Log density of every y_i given f and the noise."""
        likelihood, sd = self.spec.likelihood, self.noise_sd(values)
        if self.error is None:
            return likelihood.log_density(self.y, f, sd)
        return likelihood.log_predictive(self.y, f, self.error**2, sd)[0]

    def replicate(self, values: Sites, f: Float[AnyArray, " n"], key: Key) -> Float[AnyArray, " n"]:
        """All of y drawn anew, given f and the noise."""
        noise, error = jax.random.split(key)
        y = f + self.spec.likelihood.noise_draw(noise, self.noise_sd(values))
        return y if self.error is None else y + self.error * jax.random.normal(error, y.shape, y.dtype)

    def without_data(self) -> "Problem":
        """The same problem with every datum missing: its posterior is the prior."""
        return eqx.tree_at(lambda problem: problem.observed, self, jnp.zeros_like(self.observed))

    def tempered(self, power: Float[AnyArray, ""]) -> "Problem":
        """The same problem with its likelihood raised to a power between 0 (the prior) and 1 (the posterior)."""
        return eqx.tree_at(lambda problem: problem.temper, self, power)


def with_trend(scales: Float[AnyArray, " k"], r: int) -> Float[AnyArray, " r"]:
    """Prior sds of all r coefficients: the amplitudes' and then the trend's."""
    return jnp.concatenate([scales, jnp.full(r - scales.shape[0], PRIOR_SD)])


def bind(
    spec: Specification,
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    field: NoiseField,
    operator: Operator | None = None,
    error: Float[np.ndarray, " n"] | None = None,
) -> Problem:
    """Bind a specification to inputs on the unit box, standardised outputs (NaN = missing) and their known errors."""
    observed = (~np.isnan(y)).astype(x.dtype)
    box = data_box(x, spec.likelihood.narrowest)
    overlap = _mean_square_height(spec, x, box)
    require(not bool(jnp.isnan(overlap)), "Expected `lengths` whose correlations can be computed; raise `lkj`.")
    require(bool(overlap > 1e-12), "Expected `lengths` of splats that reach data, got none that does; raise `typical`.")
    return Problem(
        jnp.asarray(x),
        jnp.asarray(np.where(observed > 0, y, 0.0)),
        jnp.asarray(observed),
        jnp.asarray(field.features(x)),
        jnp.asarray(overlap),
        jnp.asarray(observed.sum()),
        jnp.asarray(box.spacing, x.dtype),
        jnp.asarray(box.grid, x.dtype),
        jnp.ones((), x.dtype),
        None if error is None else jnp.asarray(error),
        operator or Identity(),
        spec,
    )


def data_box(x: Float[np.ndarray, "n d"], narrowest: float) -> Box:
    """Spacing of distinct inputs: the median distance to the nearest neighbour, per axis along which they vary."""
    # equal up to rounding is equal, and an input that varies fills the box
    distinct = x[np.unique(np.round(x, 9), axis=0, return_index=True)[1]]
    n, d = distinct.shape
    varying = int(np.sum(np.ptp(x, 0) > 0.5)) or d
    grid = max(n, 2) ** (-1.0 / varying)
    if n < 2:
        return Box(d, grid, grid, narrowest)
    nearest = KDTree(distinct).query(distinct, 2)[0][:, 1]
    return Box(d, float(np.median(nearest)) / np.sqrt(varying), grid, narrowest)


def _mean_square_height(spec: Specification, x: Float[np.ndarray, "n d"], box: Box) -> np.floating:
    """E[height^2] of one prior splat at the data, by Monte Carlo with a fixed key."""
    rows = np.random.default_rng(0).choice(len(x), OVERLAP_ROWS)
    lengths = spec.prior.lengths(spec.lengths)
    some, scales = jnp.asarray(x[rows]), [jnp.asarray(scale) for scale in box[1:]]
    # only the geometry matters: what else the specification says must not compile the same code again
    plain = {"n_splats": 1, "prior": Ridge(), "likelihood": Normal(), "trend": "none", "lengths": lengths}
    kinds = [replace(spec, mother=one, **plain) for one in spec.mother.kinds]
    return np.mean([_overlap(one, some, *scales) for one in kinds])


@jit_once
def _overlap(spec: Specification, x: Float[AnyArray, "n d"], *scales: Float[AnyArray, ""]) -> Float[AnyArray, ""]:
    box = Box(x.shape[1], *scales)
    sites = geometry_sites(spec, box, 1)

    def one(key: Key) -> Float[AnyArray, "n k"]:
        # every splat with shared sites of its own: 512 splats that share one location know only that location
        splat = geometry(spec, draw(sites, key), box)
        return heights(splat.A, splat.b, x, spec.mother)

    return jnp.mean(jax.vmap(one)(jax.random.split(jax.random.key(0), OVERLAP_DRAWS)) ** 2)
