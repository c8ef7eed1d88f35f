"""Energies that do not integrate over the amplitudes, for comparison: plain MAP, and the paper's squared error."""

import jax.numpy as jnp
from jaxtyping import Bool, Float

from bayesplat import collapsed
from bayesplat._typing import AnyArray
from bayesplat.collapsed import Collapsed
from bayesplat.flow.energy import neutral
from bayesplat.flow.evidence import NegLogEvidence, log_prior
from bayesplat.flow.position import Particles, Position, geometry, particles
from bayesplat.model import Problem


class NegLogJoint(NegLogEvidence):
    """-log p(y, a, A, b, noise), maximised over the amplitudes: plain MAP, the amplitude scale held.

    For comparison: nothing is integrated out and no splat pays for its place, so it overfits as k grows.
    """

    def value(self, position: Position, live: Bool[AnyArray, " k"]) -> Float[AnyArray, ""]:
        """The energy."""
        at = geometry(self.problem, position)
        log_likelihood, factor = self.density(at, position, live)
        per_splat = jnp.where(live, log_prior(self.problem, particles(position), position), 0.0)
        log_determinant = jnp.sum(jnp.log(jnp.diagonal(factor.chol)))
        return -(
            log_likelihood
            + log_determinant
            + jnp.sum(per_splat)
            + self._log_shared(position)
            + self.problem.spec.prior.log_penalty(at.A, at.b, live)
        )

    def scale(self, position: Position) -> Float[AnyArray, ""]:
        """The typical amplitude scale."""
        return jnp.exp(self.log_typical)

    def spread(self, system: Collapsed, k: int) -> Float[AnyArray, "k k"]:
        """Nothing."""
        return jnp.zeros((k, k))

    def gain(
        self, system: Collapsed, position: Position, born: Particles
    ) -> tuple[Float[AnyArray, " c"], Float[AnyArray, " c"]]:
        """Half the squared first variation over the squared norm of the candidate, and the same less its prior."""
        at = geometry(self.problem, born)
        g, s = collapsed.along(system, self.problem.columns(at.A, at.b), self.scale(position))
        gain = 0.5 * g**2 / (1 + s)
        return gain, gain + log_prior(self.problem, born, position)

    def worth(self, system: Collapsed, position: Position) -> Float[AnyArray, " k"]:
        """Half the squared amplitude over its variance, plus the log prior."""
        own = log_prior(self.problem, particles(position), position)
        return _explained(system, own.size) + own


class SquaredError(NegLogJoint):
    """(1 / 2n) sum_j (f(x_j) - y_j)^2 + (penalty / 2) sum_i a_i^2: the paper's energy (daniels2025splat).

    No priors, but that a trend has beside its splats.
    """

    penalty: Float[AnyArray, ""] | float = 1e-8

    def value(self, position: Position, live: Bool[AnyArray, " k"]) -> Float[AnyArray, ""]:
        """The energy."""
        return 0.5 * jnp.sum(self.residual(position, live) ** 2)

    @property
    def prior_weight(self) -> float:
        """Next to nothing: it has no priors, but its matrix must stay positive definite."""
        return 1e-9

    def tolerance(self, value: Float[AnyArray, ""]) -> Float[AnyArray, ""]:
        """Change of the energy that does not matter: a thousandth of it."""
        return 1e-3 * value

    @property
    def standstill(self) -> float:
        """0: excursions, which find other explanations of as many data, cost it time and gain nothing."""
        return 0.0

    def scale(self, position: Position) -> Float[AnyArray, ""]:
        """The amplitude at which the penalty is one half."""
        return jnp.asarray(self.penalty) ** -0.5

    def data_sd(self, position: Position) -> Float[AnyArray, " n"]:
        """Root of the number of data."""
        return jnp.full(self.problem.x.shape[0], jnp.sqrt(self.problem.n_observed))

    def gain(
        self, system: Collapsed, position: Position, born: Particles
    ) -> tuple[Float[AnyArray, " c"], Float[AnyArray, " c"]]:
        """Half the squared first variation over the squared norm of the candidate, twice: a splat costs nothing."""
        at = geometry(self.problem, born)
        g, s = collapsed.along(system, self.problem.columns(at.A, at.b), self.scale(position))
        return 0.5 * g**2 / (1 + s), 0.5 * g**2 / (1 + s)

    def worth(self, system: Collapsed, position: Position) -> Float[AnyArray, " k"]:
        """Half the squared amplitude over its variance."""
        return _explained(system, position.centre.shape[0])


def _explained(system: Collapsed, k: int) -> Float[AnyArray, " k"]:
    """How much the data term rises when each of the first k coefficients is set to 0."""
    return (0.5 * collapsed.mean_coefficients(system) ** 2 / collapsed.variances(system))[:k]


def neg_log_joint(problem: Problem) -> NegLogJoint:
    """Minus the log joint density of a problem, maximised over the amplitudes (MAP)."""
    return NegLogJoint(*neutral(problem))


def squared_error(problem: Problem, penalty: float = 1e-8) -> SquaredError:
    """The paper's energy of a problem: mean squared error over two and a penalty on the amplitudes."""
    return SquaredError(*neutral(problem), penalty=penalty)
