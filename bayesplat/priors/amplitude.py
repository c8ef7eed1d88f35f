"""Priors on amplitudes a_i = v_i rho(0) / |det A_i|: scale mixtures of normals, so that they integrate out.

Given the sites of a prior, a_i ~ N(0, scale_i^2) independently, in units of sd(y). One dial each.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Bool, Float
from numpyro import distributions as dist

from bayesplat._checks import positive
from bayesplat._typing import AnyArray, Sites
from bayesplat.priors.geometry import FreeLengths, Lengths
from bayesplat.priors.sites import SiteTable


class Context(NamedTuple):
    """What an amplitude prior knows of the problem, so that its dial means the same on every data set."""

    k: int  # number of splats
    n: Float[AnyArray, ""] | int  # number of observed data
    overlap: Float[AnyArray, ""] | float  # mean square height of one splat over the data, a priori


class AmplitudePrior(ABC):
    """A scale mixture of normals over the amplitudes of k splats."""

    @abstractmethod
    def sites(self, k: int) -> SiteTable:
        """Sites of the prior, standardised so that they know nothing of the data."""

    @abstractmethod
    def scales(self, values: Sites, context: Context, sigma: Float[AnyArray, ""]) -> Float[AnyArray, " k"]:
        """Prior sd of every amplitude given the sites and the noise level `sigma`."""

    @abstractmethod
    def typical(self, context: Context) -> Float[AnyArray, ""] | float:
        """Amplitude sd around which a point fit's one shared scale is held."""

    @abstractmethod
    def start(self, amplitude: Float[AnyArray, " k"], context: Context, sigma: Float[AnyArray, ""]) -> Sites:
        """Values of the sites from which a chain starts, given the amplitudes of a point fit (largest term first)."""

    @property
    def own_sites(self) -> frozenset[str]:
        """Sites with one value per splat that bears on that splat's amplitude alone."""
        return frozenset()

    @property
    def shared_sites(self) -> frozenset[str]:
        """Sites shared by all splats that can move while every amplitude's scale stays: the own sites follow."""
        return frozenset()

    def recentred(self, values: Sites, shared: Sites) -> tuple[Sites, Float[AnyArray, ""]]:
        """Other shared sites and the own sites that keep all scales, with the log density of those scales."""
        return shared, jnp.zeros(())

    @property
    def slack(self) -> float:
        """Sd of the log of a point fit's shared amplitude scale around `typical`."""
        return 1.0

    @property
    def in_flow(self) -> "AmplitudePrior":
        """What a point fit keeps of this prior besides `typical` and `slack`: its say on lengths and its coupling."""
        return Ridge()

    def lengths(self, lengths: Lengths) -> Lengths:
        """The prior on lengths to use, given the model's own."""
        return lengths

    def log_penalty(
        self, A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"], live: Bool[AnyArray, " k"] | None = None
    ) -> Float[AnyArray, ""]:
        """Log of an unnormalised factor that couples the `live` splats (all); zero unless the prior says otherwise."""
        return jnp.zeros(())

    def log_penalty_from(
        self,
        A: Float[AnyArray, "k d d"],
        b: Float[AnyArray, "k d"],
        A2: Float[AnyArray, "c d d"],
        b2: Float[AnyArray, "c d"],
    ) -> Float[AnyArray, "c k"]:
        """What each of c other splats would add to it beside each of the k splats."""
        return jnp.zeros((b2.shape[0], b.shape[0]))

    def check(self, k: int) -> None:  # noqa: B027  most dials fit any number
        """Refuse a number of splats that the prior's dial does not fit."""


@dataclass(frozen=True)
class Ridge(AmplitudePrior):
    """Equal Gaussian amplitudes, a_i ~ N(0, tau^2): the plain baseline."""

    scale: float = 1.0
    """Prior sd of f, in sds of y: tau = scale * HalfNormal(1) / sqrt(k * overlap)."""

    def __post_init__(self) -> None:
        positive("scale", self.scale)

    def sites(self, k: int) -> SiteTable:
        """The one site `tau`."""
        return {"tau": dist.HalfNormal(1.0)}

    def scales(self, values: Sites, context: Context, sigma: Float[AnyArray, ""]) -> Float[AnyArray, " k"]:
        """Prior sd of every amplitude."""
        return jnp.full(context.k, self.typical(context)) * values["tau"]

    def typical(self, context: Context) -> Float[AnyArray, ""] | float:
        """Amplitude sd at tau = 1."""
        return self.scale / (context.k * context.overlap) ** 0.5

    def start(self, amplitude: Float[AnyArray, " k"], context: Context, sigma: Float[AnyArray, ""]) -> Sites:
        """Start at the root mean square amplitude."""
        return {"tau": jnp.clip(jnp.sqrt(jnp.mean(amplitude**2)) / self.typical(context), 0.2, 3.0)}


@dataclass(frozen=True)
class Flat(AmplitudePrior):
    """No regularisation: amplitudes 100 sds of y wide, lengths free within the box. Only to show the overfitting."""

    def sites(self, k: int) -> SiteTable:
        """No sites."""
        return {}

    def scales(self, values: Sites, context: Context, sigma: Float[AnyArray, ""]) -> Float[AnyArray, " k"]:
        """Prior sd of every amplitude: 100."""
        return jnp.full(context.k, 100.0)

    def typical(self, context: Context) -> Float[AnyArray, ""] | float:
        """Amplitude sd, 100."""
        return 100.0

    @property
    def slack(self) -> float:
        """The scale is known: a point fit may not shrink it."""
        return 1e-3

    @property
    def in_flow(self) -> AmplitudePrior:
        """Itself, for its free lengths."""
        return self

    def start(self, amplitude: Float[AnyArray, " k"], context: Context, sigma: Float[AnyArray, ""]) -> Sites:
        """Nothing to start."""
        return {}

    def lengths(self, lengths: Lengths) -> Lengths:
        """Lengths without a preference."""
        return FreeLengths(lengths.typical, lengths.uncertainty, lengths.spread, lengths.tails, lengths.lkj)
