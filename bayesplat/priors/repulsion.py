"""Repulsion between splats: how alike two of them are, and the prior that keeps them apart."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Bool, Float

from bayesplat._checks import positive, require
from bayesplat._typing import AnyArray, Sites
from bayesplat.priors.amplitude import AmplitudePrior, Context, Ridge
from bayesplat.priors.geometry import Lengths
from bayesplat.priors.sites import SiteTable

ROUNDING = 1e-15
"""Least pivot of a factor, as a share of the entry that it comes from."""


@dataclass(frozen=True)
class Repulsive(AmplitudePrior):
    """Another prior times a repulsion between splats, so that no +v/-v pair sits in one place (petralia2012).

    The factor is prod_{i<j} (1 - c_ij^2)^strength, with c_ij the Bhattacharyya coefficient of the two splats'
    Gaussians: 1 for two splats in the same place with the same shape, 0 for splats far apart. The more splats, the
    shorter it makes them, so f comes out smaller than the base says: for few splats only. Costs O(k^2).
    """

    base: AmplitudePrior = Ridge()
    """The prior on amplitudes."""
    strength: float = 1.0
    """Exponent of the repulsion: 0.5 is mild, 3 is strong."""

    def __post_init__(self) -> None:
        positive("strength", self.strength)
        require(
            isinstance(self.base, AmplitudePrior) and not isinstance(self.base, Repulsive),
            f"Expected `base` to be one of the other priors, got {self.base!r}.",
        )

    def sites(self, k: int) -> SiteTable:
        """The sites of the base."""
        return self.base.sites(k)

    def scales(self, values: Sites, context: Context, sigma: Float[AnyArray, ""]) -> Float[AnyArray, " k"]:
        """The scales of the base."""
        return self.base.scales(values, context, sigma)

    def typical(self, context: Context) -> Float[AnyArray, ""] | float:
        """The typical scale of the base."""
        return self.base.typical(context)

    @property
    def own_sites(self) -> frozenset[str]:
        """Those of the base."""
        return self.base.own_sites

    @property
    def shared_sites(self) -> frozenset[str]:
        """Those of the base."""
        return self.base.shared_sites

    def recentred(self, values: Sites, shared: Sites) -> tuple[Sites, Float[AnyArray, ""]]:
        """As the base does it."""
        return self.base.recentred(values, shared)

    @property
    def slack(self) -> float:
        """The slack of the base."""
        return self.base.slack

    @property
    def in_flow(self) -> AmplitudePrior:
        """The repulsion of what a point fit keeps of the base."""
        return Repulsive(self.base.in_flow, self.strength)

    def start(self, amplitude: Float[AnyArray, " k"], context: Context, sigma: Float[AnyArray, ""]) -> Sites:
        """The start of the base."""
        return self.base.start(amplitude, context, sigma)

    def lengths(self, lengths: Lengths) -> Lengths:
        """The lengths of the base."""
        return self.base.lengths(lengths)

    def log_penalty(
        self, A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"], live: Bool[AnyArray, " k"] | None = None
    ) -> Float[AnyArray, ""]:
        """Log of the repulsion."""
        return self.strength * log_repulsion(A, b, live)

    def log_penalty_from(
        self,
        A: Float[AnyArray, "k d d"],
        b: Float[AnyArray, "k d"],
        A2: Float[AnyArray, "c d d"],
        b2: Float[AnyArray, "c d"],
    ) -> Float[AnyArray, "c k"]:
        """The same, of pairs."""
        return self.strength * log_repulsion_from(A, b, A2, b2)

    def check(self, k: int) -> None:
        """What the base refuses."""
        self.base.check(k)


def log_bhattacharyya(
    A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"], A2: Float[AnyArray, "c d d"], b2: Float[AnyArray, "c d"]
) -> Float[AnyArray, "k c"]:
    """Log Bhattacharyya coefficients of N(b_i, A_i A_i^T) and N(b2_j, A2_j A2_j^T): 0 if equal, -inf if remote.

    -(1/8) D^T S^-1 D - (1/2) log det S + (1/4) (log det S_i + log det S_j), S = (S_i + S_j) / 2, D = b_i - b2_j.
    """
    S, S2 = (jnp.einsum("kab,kcb->kac", scale, scale) for scale in (A, A2))
    own, own2 = (jnp.sum(jnp.log(jnp.diagonal(scale, axis1=-2, axis2=-1)), -1) for scale in (A, A2))
    squared, half_log_det = _quadratic(0.5 * (S[:, None] + S2[None, :]), b[:, None] - b2[None, :])
    return -0.125 * squared - half_log_det + 0.5 * (own[:, None] + own2[None, :])


def _quadratic(
    S: Float[AnyArray, "k c d d"], gap: Float[AnyArray, "k c d"]
) -> tuple[Float[AnyArray, "k c"], Float[AnyArray, "k c"]]:
    """D^T S^-1 D and log det S / 2 of all pairs, by one Cholesky factor written out for all at once.

    LAPACK would be called for every pair: seven times slower for 40 splats over one or two inputs.
    """
    rows: list[list[AnyArray]] = []  # of the lower factor, and then of L^-1 D
    solved: list[AnyArray] = []
    for i in range(S.shape[-1]):
        row: list[AnyArray] = []
        for j in range(i):
            row.append((S[..., i, j] - _dot(row, rows[j][:j])) / rows[j][j])
        # of strongly sheared splats nothing but rounding may be left of it
        row.append(jnp.sqrt(jnp.maximum(S[..., i, i] - _dot(row, row), ROUNDING * S[..., i, i])))
        solved.append((gap[..., i] - _dot(row, solved)) / row[i])
        rows.append(row)
    log_det = [jnp.log(row[-1]) for row in rows]
    return jnp.asarray(_dot(solved, solved)), jnp.asarray(sum(log_det))


def _dot(left: list[AnyArray], right: list[AnyArray]) -> AnyArray | float:
    return sum((a * b for a, b in zip(left, right, strict=False)), 0.0)


def log_repulsion(
    A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"], live: Bool[AnyArray, " k"] | None = None
) -> Float[AnyArray, ""]:
    """Log of prod_{i<j} (1 - c_ij^2) over live splats (all), at most 0; two identical ones cost about 28 nats."""
    apart = jnp.triu(_log_apart(log_bhattacharyya(A, b, A, b)), 1)
    return jnp.sum(apart if live is None else jnp.where(live[:, None] & live[None, :], apart, 0.0))


def log_repulsion_from(
    A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"], A2: Float[AnyArray, "c d d"], b2: Float[AnyArray, "c d"]
) -> Float[AnyArray, "c k"]:
    """Log factor that each of c splats would share with each of k others, were it one of them."""
    return _log_apart(log_bhattacharyya(A2, b2, A, b))


def _log_apart(log_coefficient: Float[AnyArray, "k c"]) -> Float[AnyArray, "k c"]:
    return jnp.log(jnp.maximum(1 - jnp.exp(2 * log_coefficient), 0.0) + 1e-12)
