"""Energies that the flow lowers, as functions of the particles (A, b): the masses are solved for at every evaluation.

All of them are a regularised sum of squares, minimised over the amplitudes (variable projection, golub1973), plus terms
that say how much a splat costs. The reaction (Fisher-Rao) is therefore exact throughout, and v never lags.
"""

from abc import abstractmethod
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from bayesplat import collapsed
from bayesplat._typing import AnyArray, Sites
from bayesplat.collapsed import Collapsed, Factor
from bayesplat.flow.position import Particles, Position, geometry
from bayesplat.model import Problem
from bayesplat.mothers import Mother
from bayesplat.priors.sites import SiteTable, constrain, unconstrain
from bayesplat.specification import Geometry


class Energy(eqx.Module):
    """An energy of the particles; dead splats count for nothing."""

    problem: Problem
    log_typical: Float[AnyArray, ""]  # log amplitude scale before anything is known
    slack: Float[AnyArray, ""]  # sd of its prior
    copies: Float[AnyArray, ""]  # times that every datum counts: 1, but in a swarm

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

    def repeated(self, copies: Float[AnyArray, ""] | float) -> "Energy":
        """The same energy as if every datum had been measured so many times (data cloning, lele2007)."""
        return replace(self, copies=jnp.asarray(copies, self.problem.x.dtype))

    def of(self, mother: Mother) -> "Energy":
        """The same energy for candidates that all have one mother."""
        problem = replace(self.problem, spec=replace(self.problem.spec, mother=mother))
        return replace(self, problem=problem)

    def system(self, position: Position, live: Bool[AnyArray, " k"]) -> Collapsed:
        """The collapsed linear-Gaussian system at a position."""
        return self.system_at(geometry(self.problem, position), position, live)

    def system_at(self, at: Geometry, position: Position, live: Bool[AnyArray, " k"]) -> Collapsed:
        """The collapsed system, when the geometry is at hand."""
        return self.problem.system(at, jnp.where(live, self.scale(position), 0.0), self.data_sd(position))

    def density(
        self, at: Geometry, position: Position, live: Bool[AnyArray, " k"]
    ) -> tuple[Float[AnyArray, ""], Factor]:
        """Log density of the data, amplitudes integrated out, and what the data say of these.

        All copies of a datum together are one with a smaller sd, but for their own volume in y.
        """
        sd = self.data_sd(position)
        value, factor = self.problem.density(at, jnp.where(live, self.scale(position), 0.0), sd)
        return value - (self.copies - 1) * collapsed.log_volume(sd, self.problem.observed), factor

    def residual(self, position: Position, live: Bool[AnyArray, " k"]) -> Float[AnyArray, " n_plus_r"]:
        """Residuals and amplitudes in their sds: half their sum of squares is the energy's data term."""
        return collapsed.least_squares(self.system(position, live))

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


def neutral(problem: Problem) -> tuple[Problem, AnyArray, AnyArray, AnyArray]:
    """What every energy of a problem is made of: the prior only by its typical scale and what it keeps in the flow."""
    prior = problem.spec.prior
    plain = replace(problem, spec=replace(problem.spec, prior=prior.in_flow))
    dtype = problem.x.dtype  # no weak types: all priors must run the same compiled flow
    log_typical = jnp.asarray(jnp.log(jnp.asarray(prior.typical(problem.context))), dtype)
    return plain, log_typical, jnp.asarray(prior.slack, dtype), jnp.ones((), dtype)
