"""The energy of the flow unless told otherwise: minus the log evidence, with what every splat costs."""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve
from jax.scipy.stats import norm
from jaxtyping import Bool, Float

from bayesplat import collapsed
from bayesplat._typing import AnyArray
from bayesplat.collapsed import Collapsed
from bayesplat.flow.energy import Energy, neutral
from bayesplat.flow.position import Particles, Position, geometry, particles, prior_precision
from bayesplat.model import Problem
from bayesplat.priors.sites import constrain, log_density
from bayesplat.specification import Geometry

SEEN, UNSEEN = 1.5, 25.0
"""Sum of squared heights at the data that a splat should have (1 if it stands on one datum alone); weight of that."""


class NegLogEvidence(Energy):
    """-log p(y | A, b, tau, noise) - log prior + what the data say about every splat: the flow's default, in nats.

    Amplitudes are integrated out. All splats share one amplitude scale: free scales per splat overfit the edges of the
    data. The spread of the prior on lengths is held, since its maximum is at zero. The geometry is not integrated out,
    so each splat pays its Occam factor: half the log of how much narrower its posterior is than its prior, along every
    direction of its frame (Laplace). A splat that explains nothing costs nothing; a spike on one datum, or a clone of
    another splat, pays the full price and does not earn it.
    """

    def value(self, position: Position, live: Bool[AnyArray, " k"]) -> Float[AnyArray, ""]:
        """The energy."""
        at = geometry(self.problem, position)
        log_likelihood, factor = self.density(at, position, live)
        cost = information(self, position, at, collapsed.second_moments(factor)[: live.size])
        per_splat = log_prior(self.problem, particles(position), position) - cost
        return -(
            log_likelihood
            + jnp.sum(jnp.where(live, per_splat, 0.0))
            + self._log_shared(position)
            + self.problem.spec.prior.log_penalty(at.A, at.b, live)
        )

    def scale(self, position: Position) -> Float[AnyArray, ""]:
        """The shared amplitude scale tau."""
        return jnp.exp(position.log_tau)

    def data_sd(self, position: Position) -> Float[AnyArray, " n"]:
        """Noise sd of every datum, all its copies together."""
        return self.problem.data_sd(self.noise(position)) / jnp.sqrt(self.copies)

    def spread(self, system: Collapsed, k: int) -> Float[AnyArray, "k k"]:
        """Posterior covariance of the amplitudes."""
        whitened = cho_solve((system.chol, True), jnp.eye(system.chol.shape[0], dtype=system.chol.dtype))
        return (whitened * system.scales[:, None] * system.scales[None, :])[:k, :k]

    def gain(
        self, system: Collapsed, position: Position, born: Particles
    ) -> tuple[Float[AnyArray, " c"], Float[AnyArray, " c"]]:
        """Log evidence that one candidate adds, and the same less its Occam factor and prior."""
        at, tau = geometry(self.problem, born), self.scale(position)
        g, s = collapsed.along(system, self.problem.columns(at.A, at.b), tau)
        evidence = 0.5 * (g**2 / (1 + s) - jnp.log1p(s))
        moment = tau**2 * ((g / (1 + s)) ** 2 + 1 / (1 + s))
        cost = information(self, position, at, moment) - log_prior(self.problem, born, position)
        return evidence, evidence - cost

    def worth(self, system: Collapsed, position: Position) -> Float[AnyArray, " k"]:
        """Log evidence lost with each splat, less its Occam factor and prior."""
        at, k = geometry(self.problem, position), position.centre.shape[0]
        cost = information(self, position, at, collapsed.second_moments(system)[:k])
        cost -= log_prior(self.problem, particles(position), position)
        return collapsed.evidence_lost(system)[:k] - cost

    def _log_shared(self, position: Position) -> Float[AnyArray, ""]:
        problem, table = self.problem, self.noise_sites()
        noise, log_jacobian = constrain(table, position.noise)
        return (
            problem.lengths.log_density(position.excess, position.location, problem.box)[1]
            + norm.logpdf(position.log_tau, self.log_typical, self.slack)
            + log_density(table, noise)
            + log_jacobian
        )


def information(
    energy: Energy, position: Position, at: Geometry, moment: Float[AnyArray, " k"]
) -> Float[AnyArray, " k"]:
    """Nats that the data tell about the geometry of each splat, given the second moment of its amplitude.

    Half the sum over its frame of log(1 + moment sum_j (d height_j)^2 / sd_j^2 / prior precision).
    """
    problem = energy.problem
    fisher = problem.squares_along(at.A, at.b, problem.observed / energy.data_sd(position)) * moment
    return 0.5 * jnp.sum(jnp.log1p(fisher / prior_precision(problem, at)), 0)


def log_prior(problem: Problem, at: Particles, position: Position) -> Float[AnyArray, " k"]:
    """Log prior of each particle, 0 at its mode so that a splat without mass costs nothing."""
    family = problem.spec.scale_family
    lengths, _ = problem.lengths.log_density(at.excess, position.location, problem.box)
    lkj = jax.vmap(lambda w: family.log_lkj(w, problem.d, problem.lengths.lkj))
    shears = lkj(at.shear) - lkj(jnp.zeros_like(at.shear))
    return lengths + shears + problem.spec.centres.log_density(at.centre) + log_seen(problem, geometry(problem, at))


def log_seen(problem: Problem, at: Geometry) -> Float[AnyArray, " k"]:
    """Log prior against splats that the data hardly see: -UNSEEN log(SEEN / sum_j height_j^2)^2 below SEEN, else 0.

    Where noise is small, a tall splat in a gap between data pays for itself by its flank on the datum beside it, and
    nothing says that it is wrong there.
    """
    seen = problem.squares(at.A, at.b, problem.observed)
    return -UNSEEN * jnp.maximum(jnp.log(SEEN) - jnp.log(seen + 1e-6), 0.0) ** 2


def neg_log_evidence(problem: Problem) -> NegLogEvidence:
    """The energy of a problem, in a form that does not depend on the amplitude prior's dials.

    Only the prior's typical scale enters, as data: one compiled flow serves all priors of a comparison.
    """
    return NegLogEvidence(*neutral(problem))
