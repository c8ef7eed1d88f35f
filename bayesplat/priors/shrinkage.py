"""Priors with one scale for every amplitude, which shrink most of them and leave a few."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Float
from numpyro import distributions as dist

from bayesplat._checks import fraction, positive, require
from bayesplat._typing import AnyArray, Sites
from bayesplat.priors.amplitude import AmplitudePrior, Context
from bayesplat.priors.sites import SiteTable, vector

USUALLY_ACTIVE = 5.0
"""Splats expected to matter, unless told."""

LEAST_UNEXPLAINED = 1e-10
"""Least share of variance that R2D2 leaves to the noise, that of noise at its floor: with less, draws from the prior
have amplitudes whose likelihood float64 cannot compute."""


@dataclass(frozen=True)
class RegularizedHorseshoe(AmplitudePrior):
    """A few large amplitudes among many small ones (piironen2017).

    a_i ~ N(0, tau^2 l_i^2), l_i^2 = c^2 lambda_i^2 / (c^2 + tau^2 lambda_i^2), lambda_i ~ HalfCauchy(1),
    tau ~ HalfCauchy(tau_0), tau_0 = n_active / (k - n_active) * sigma / sqrt(n * overlap).
    """

    n_active: float | None = None
    """How many splats are expected to matter, at the median of tau: by default 5, or half of them if that is fewer."""
    slab_scale: float = 2.0
    """Scale c of the largest amplitudes, in sds of y."""
    slab_df: float = 4.0
    """Degrees of freedom of the slab: c^2 ~ slab_scale^2 InverseGamma(slab_df / 2, slab_df / 2)."""

    def __post_init__(self) -> None:
        for name in ("slab_scale", "slab_df", *(["n_active"] if self.n_active is not None else [])):
            positive(name, getattr(self, name))

    def active(self, k: int) -> float:
        """How many of k splats are expected to matter."""
        return min(USUALLY_ACTIVE, k / 2) if self.n_active is None else self.n_active

    def check(self, k: int) -> None:
        """Refuse more active splats than there are."""
        active = self.active(k)
        require(
            active < k,
            f"Expected `n_active` below the number of splats ({k}), got {active:g}; lower n_active or raise n_splats.",
        )

    def sites(self, k: int) -> SiteTable:
        """Sites `tau`, `slab` and the local scales `lam`."""
        return {
            "tau": dist.HalfCauchy(1.0),
            "lam": vector(dist.HalfCauchy(1.0), k),
            "slab": dist.InverseGamma(self.slab_df / 2, self.slab_df / 2),
        }

    @property
    def own_sites(self) -> frozenset[str]:
        """The local scales."""
        return frozenset({"lam"})

    @property
    def shared_sites(self) -> frozenset[str]:
        """The global scale."""
        return frozenset({"tau"})

    def recentred(self, values: Sites, shared: Sites) -> tuple[Sites, Float[AnyArray, ""]]:
        """Another tau and the local scales that keep every tau * lam."""
        lam = values["lam"] * (values["tau"] / shared["tau"])
        log_density = jnp.sum(dist.HalfCauchy(1.0).log_prob(lam)) - lam.size * jnp.log(shared["tau"])
        return {**shared, "lam": lam}, log_density

    def scales(self, values: Sites, context: Context, sigma: Float[AnyArray, ""]) -> Float[AnyArray, " k"]:
        """Prior sd of every amplitude: the harmonic sum of the local scale and the slab."""
        local = self._tau_0(context, sigma) * values["tau"] * values["lam"]
        slab = self.slab_scale * jnp.sqrt(values["slab"])
        return local / jnp.sqrt(1 + (local / slab) ** 2)

    def typical(self, context: Context) -> Float[AnyArray, ""] | float:
        """Half the slab."""
        return 0.5 * self.slab_scale

    def start(self, amplitude: Float[AnyArray, " k"], context: Context, sigma: Float[AnyArray, ""]) -> Sites:
        """Local scales at the size of each amplitude, within the bulk of their prior."""
        lam = jnp.clip(jnp.abs(amplitude) / self._tau_0(context, sigma), 0.3, 300.0)
        return {"tau": jnp.ones(()), "lam": lam, "slab": jnp.ones(())}

    def _tau_0(self, context: Context, sigma: Float[AnyArray, ""]) -> Float[AnyArray, ""]:
        active = self.active(context.k)
        odds = active / (context.k - active)
        return odds * sigma / (context.n * context.overlap) ** 0.5


@dataclass(frozen=True)
class R2D2(AmplitudePrior):
    """A prior on the share of variance that f explains, split between splats (zhang2022).

    a_i ~ N(0, sigma^2 W phi_i / overlap), W = R^2 / (1 - R^2), R^2 ~ Beta with mean `r2`, phi ~ Dirichlet(share).
    """

    r2: float = 0.7
    """Prior mean of R^2 = W / (1 + W), W the prior variance of f at a datum over sigma^2.

    A single draw of f varies less: about its own mean it explains 0.45 on average where this is 0.7, since a wide splat
    moves all of f. Beside Student-t noise sigma is its scale.
    """
    precision: float = 4.0
    """Precision of that Beta prior (the sum of its two parameters)."""
    share: float = 0.5
    """Dirichlet parameter of the split: below 1, a few splats take most of the variance."""

    def __post_init__(self) -> None:
        fraction("r2", self.r2)
        positive("precision", self.precision)
        positive("share", self.share)

    def sites(self, k: int) -> SiteTable:
        """Sites `r2` and `part`: Gamma variables whose normalised values are the Dirichlet split."""
        return {
            "r2": dist.Beta(self.r2 * self.precision, (1 - self.r2) * self.precision),
            "part": vector(dist.Gamma(self.share, 1.0), k),
        }

    def scales(self, values: Sites, context: Context, sigma: Float[AnyArray, ""]) -> Float[AnyArray, " k"]:
        """Prior sd of every amplitude."""
        ratio = values["r2"] / jnp.maximum(1 - values["r2"], LEAST_UNEXPLAINED)
        split = values["part"] / jnp.maximum(jnp.sum(values["part"]), jnp.finfo(values["part"].dtype).tiny)
        return sigma * jnp.sqrt(ratio * split / context.overlap)

    def typical(self, context: Context) -> Float[AnyArray, ""] | float:
        """The expected explained variance shared equally."""
        return (self.r2 / (context.k * context.overlap)) ** 0.5

    def start(self, amplitude: Float[AnyArray, " k"], context: Context, sigma: Float[AnyArray, ""]) -> Sites:
        """A split in proportion to the squared amplitudes of the point fit."""
        square = amplitude**2 + 1e-2 * jnp.mean(amplitude**2) + 1e-12
        ratio = jnp.sum(square) * context.overlap / sigma**2
        return {
            "r2": jnp.clip(ratio / (1 + ratio), 0.05, 0.99),
            "part": jnp.maximum(self.share * context.k * square / jnp.sum(square), 1e-3),
        }


@dataclass(frozen=True)
class StickBreaking(AmplitudePrior):
    """Importance that falls with the index: a_i ~ N(0, tau^2 w_i), w from broken sticks (ishwaran2001).

    w_i proportional to beta_i prod_{j<i} (1 - beta_j), beta_i ~ Beta(1, concentration), sum_i w_i = 1.
    """

    concentration: float = 3.0
    """How slowly importance falls: on average m of many splats hold 1 - (c / (1 + c))^m of the variance of f."""
    scale: float = 1.0
    """Prior sd of f, in sds of y: tau = scale * HalfNormal(1) / sqrt(overlap)."""

    def __post_init__(self) -> None:
        positive("concentration", self.concentration)
        positive("scale", self.scale)

    def sites(self, k: int) -> SiteTable:
        """Sites `tau` and `stick`."""
        return {
            "tau": dist.HalfNormal(1.0),
            "stick": dist.Beta(jnp.ones(k), jnp.full(k, self.concentration)).to_event(1),
        }

    def scales(self, values: Sites, context: Context, sigma: Float[AnyArray, ""]) -> Float[AnyArray, " k"]:
        """Prior sd of every amplitude."""
        log_left = jnp.cumsum(jnp.log1p(-values["stick"]))
        log_weight = jnp.log(values["stick"]) + jnp.concatenate([jnp.zeros(1), log_left[:-1]])
        weight = jnp.exp(log_weight)
        return self.scale * values["tau"] * jnp.sqrt(weight / jnp.sum(weight) / context.overlap)

    def typical(self, context: Context) -> Float[AnyArray, ""] | float:
        """The scale of f shared among the splats expected to matter."""
        active = min(context.k, 1 + self.concentration)
        return self.scale / (active * context.overlap) ** 0.5

    def start(self, amplitude: Float[AnyArray, " k"], context: Context, sigma: Float[AnyArray, ""]) -> Sites:
        """Sticks that break in proportion to the squared amplitudes, in their order: the largest term first."""
        square = amplitude**2 + 1e-3 * jnp.mean(amplitude**2) + 1e-12
        weight = square / jnp.sum(square)
        left = jnp.cumsum(weight[::-1])[::-1]
        tau = jnp.sqrt(jnp.sum(square) * context.overlap) / self.scale
        return {"tau": jnp.clip(tau, 0.2, 3.0), "stick": jnp.clip(weight / left, 0.02, 0.9)}
