"""Energies that the flow lowers, as functions of the particles (A, b): the masses are solved for at every evaluation.

All of them are a regularised sum of squares, minimised over the amplitudes (variable projection, golub1973), plus terms
that say how much a splat costs. The reaction (Fisher-Rao) is therefore exact throughout, and v never lags.
"""

from abc import abstractmethod
from dataclasses import fields, replace

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular
from jax.scipy.stats import norm
from jaxtyping import Bool, Float

from bayesplat import collapsed
from bayesplat._typing import AnyArray, Sites
from bayesplat.collapsed import Collapsed
from bayesplat.flow.position import Particles, Position, geometry, particles, prior_precision
from bayesplat.model import Geometry, Problem, with_trend
from bayesplat.mothers import Mother
from bayesplat.priors.sites import SiteTable, constrain, log_density, unconstrain

SEEN, UNSEEN = 1.5, 25.0
"""Sum of squared heights at the data that a splat should have (1 if it stands on one datum alone); weight of that."""


class Energy(eqx.Module):
    """An energy of the particles; dead splats count for nothing."""

    problem: Problem
    log_typical: Float[AnyArray, ""]  # log amplitude scale before anything is known
    slack: Float[AnyArray, ""]  # sd of its prior

    # ---------------------------------------------------------------- what an energy defines

    @abstractmethod
    def value(self, position: Position, live: Bool[AnyArray, " k"]) -> Float[AnyArray, ""]:
        """The energy."""

    @abstractmethod
    def scale(self, position: Position) -> Float[AnyArray, ""]:
        """Sd of the Gaussian that holds every amplitude."""

    @abstractmethod
    def data_sd(self, position: Position) -> Float[AnyArray, " n"]:
        """Sd by which every residual is divided."""

    @abstractmethod
    def spread(self, system: Collapsed, k: int) -> Float[AnyArray, "k k"]:
        """What the amplitudes' posterior covariance adds to their second moments: zero unless it is integrated over."""

    @abstractmethod
    def gain(
        self, system: Collapsed, position: Position, born: Particles
    ) -> tuple[Float[AnyArray, " c"], Float[AnyArray, " c"]]:
        """By how much the energy falls when one candidate joins: at its best amplitude, and net of what it costs."""

    @abstractmethod
    def worth(self, system: Collapsed, position: Position) -> Float[AnyArray, " k"]:
        """By how much the energy rises when one splat is removed, net of what the splat costs."""

    @property
    def prior_weight(self) -> float:
        """Share of the priors' curvature that the energy has."""
        return 1.0

    def tolerance(self, value: Float[AnyArray, ""]) -> Float[AnyArray, ""]:
        """Change of the energy that does not matter: a thousandth of a nat."""
        return jnp.full_like(value, 1e-3)

    @property
    def standstill(self) -> float:
        """Fall over a few moves below which the flow stands still, and excursions are worth their price: a nat."""
        return 1.0

    # ---------------------------------------------------------------- what follows

    def of(self, mother: Mother) -> "Energy":
        """The same energy for candidates that all have one mother."""
        problem = replace(self.problem, spec=replace(self.problem.spec, mother=mother))
        return replace(self, problem=problem)

    def system(self, position: Position, live: Bool[AnyArray, " k"]) -> Collapsed:
        """The collapsed linear-Gaussian system at a position."""
        return self.system_at(geometry(self.problem, position), position, live)

    def system_at(self, at: Geometry, position: Position, live: Bool[AnyArray, " k"]) -> Collapsed:
        """The collapsed system, when the geometry is at hand."""
        problem, columns = self.problem, self.problem.features(at)
        scales = with_trend(jnp.where(live, self.scale(position), 0.0), columns.shape[1])
        return collapsed.factor(columns, scales, problem.y, self.data_sd(position), problem.observed)

    def residual(self, position: Position, live: Bool[AnyArray, " k"]) -> Float[AnyArray, " n_plus_r"]:
        """Residuals and amplitudes in their sds: half their sum of squares is the energy's data term."""
        system = self.system(position, live)
        whitened = solve_triangular(system.chol.T, system.half, lower=False)
        return jnp.concatenate([system.residual - system.W @ whitened, whitened])

    def first_variation(
        self, position: Position, live: Bool[AnyArray, " k"], columns: Float[AnyArray, "n c"]
    ) -> Float[AnyArray, " c"]:
        """Derivative of the data term along a unit of amplitude on candidate columns, the other amplitudes following.

        -psi^T C^-1 y: paper.md's g(A, b) for a splat of unit height, normalised by the noise.
        """
        system = self.system(position, live)
        left = collapsed.left_over(system)
        return -(columns * (system.observed / system.sd)[:, None]).T @ left

    def noise(self, position: Position) -> Sites:
        """Values of the likelihood's sites."""
        return constrain(self.noise_sites(), position.noise)[0]

    def noise_sites(self) -> SiteTable:
        """Sites of the likelihood."""
        return self.problem.spec.likelihood.sites(self.problem.x.shape[0], self.problem.noise_features.shape[1])

    def start(self, k: int) -> Position:
        """A position with room for k splats, all in the middle: what births then replace."""
        problem = self.problem
        family, d = problem.spec.scale_family, problem.d
        median = jnp.log(problem.lengths.median(problem.box))
        noise = problem.spec.likelihood.start(problem.x.shape[0], problem.noise_features.shape[1])
        position = Position(
            jnp.full((k, family.n_lengths(d)), median),
            jnp.zeros((k, family.n_shears(d))),
            jnp.full((k, d), 0.5),
            jnp.full(family.n_lengths(d), median),
            self.log_typical,
            unconstrain(self.noise_sites(), noise),
        )
        # no weak types: a start and a later position must run the same compiled step
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, problem.x.dtype), position)


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
        system = self.system_at(at, position, live)
        cost = information(self, position, at, collapsed.second_moments(system)[: live.size])
        per_splat = _log_prior(self.problem, particles(position), position) - cost
        return -(
            collapsed.log_density(system)
            + jnp.sum(jnp.where(live, per_splat, 0.0))
            + self._log_shared(position)
            + self.problem.spec.prior.log_penalty(at.A, at.b)
        )

    def scale(self, position: Position) -> Float[AnyArray, ""]:
        """The shared amplitude scale tau."""
        return jnp.exp(position.log_tau)

    def data_sd(self, position: Position) -> Float[AnyArray, " n"]:
        """Noise sd of every datum."""
        return self.problem.spec.likelihood.data_sd(self.noise(position), self.problem.noise_features)

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
        cost = information(self, position, at, moment) - _log_prior(self.problem, born, position)
        return evidence, evidence - cost

    def worth(self, system: Collapsed, position: Position) -> Float[AnyArray, " k"]:
        """Log evidence lost with each splat, less its Occam factor and prior."""
        at, k = geometry(self.problem, position), position.centre.shape[0]
        cost = information(self, position, at, collapsed.second_moments(system)[:k])
        cost -= _log_prior(self.problem, particles(position), position)
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


class NegLogJoint(NegLogEvidence):
    """-log p(y, a, A, b, noise), maximised over the amplitudes: plain MAP, the amplitude scale held.

    For comparison: nothing is integrated out and no splat pays for its place, so it overfits as k grows.
    """

    def value(self, position: Position, live: Bool[AnyArray, " k"]) -> Float[AnyArray, ""]:
        """The energy."""
        at = geometry(self.problem, position)
        system = self.system_at(at, position, live)
        per_splat = jnp.where(live, _log_prior(self.problem, particles(position), position), 0.0)
        log_determinant = jnp.sum(jnp.log(jnp.diagonal(system.chol)))
        return -(
            collapsed.log_density(system)
            + log_determinant
            + jnp.sum(per_splat)
            + self._log_shared(position)
            + self.problem.spec.prior.log_penalty(at.A, at.b)
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
        return gain, gain + _log_prior(self.problem, born, position)

    def worth(self, system: Collapsed, position: Position) -> Float[AnyArray, " k"]:
        """Half the squared amplitude over its variance, plus the log prior."""
        own = _log_prior(self.problem, particles(position), position)
        return _explained(system, own.size) + own


class SquaredError(NegLogJoint):
    """(1 / 2n) sum_j (f(x_j) - y_j)^2 + (penalty / 2) sum_i a_i^2: the paper's energy (daniels2025splat), no priors."""

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


def information(
    energy: Energy, position: Position, at: Geometry, moment: Float[AnyArray, " k"]
) -> Float[AnyArray, " k"]:
    """Nats that the data tell about the geometry of each splat, given the second moment of its amplitude.

    Half the sum over its frame of log(1 + moment sum_j (d height_j)^2 / sd_j^2 / prior precision).
    """
    problem = energy.problem
    fisher = problem.squares_along(at.A, at.b, problem.observed / energy.data_sd(position)) * moment
    return 0.5 * jnp.sum(jnp.log1p(fisher / prior_precision(problem, at)), 0)


def _explained(system: Collapsed, k: int) -> Float[AnyArray, " k"]:
    """How much the data term rises when each of the first k coefficients is set to 0."""
    return (0.5 * collapsed.mean_coefficients(system) ** 2 / collapsed.variances(system))[:k]


def _log_prior(problem: Problem, at: Particles, position: Position) -> Float[AnyArray, " k"]:
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
    return NegLogEvidence(*_neutral(problem))


def neg_log_joint(problem: Problem) -> NegLogJoint:
    """Minus the log joint density of a problem, maximised over the amplitudes (MAP)."""
    return NegLogJoint(*_neutral(problem))


def squared_error(problem: Problem, penalty: float = 1e-8) -> SquaredError:
    """The paper's energy of a problem: mean squared error over two and a penalty on the amplitudes."""
    return SquaredError(*_neutral(problem), penalty=penalty)


def _neutral(problem: Problem) -> tuple[Problem, AnyArray, AnyArray]:
    prior = problem.spec.prior
    parts = {field.name: getattr(problem, field.name) for field in fields(problem)}
    neutral = Problem(**{**parts, "spec": replace(problem.spec, prior=prior.in_flow)})
    dtype = problem.x.dtype  # no weak types: all priors must run the same compiled flow
    log_typical = jnp.asarray(jnp.log(jnp.asarray(prior.typical(problem.context))), dtype)
    return neutral, log_typical, jnp.asarray(prior.slack, dtype)
