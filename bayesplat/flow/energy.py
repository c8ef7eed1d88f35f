"""Energies that the flow lowers. Here: the negative log evidence, amplitudes and trend integrated out."""

from dataclasses import fields, replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Bool, Float

from bayesplat import collapsed
from bayesplat._typing import AnyArray, Sites
from bayesplat.collapsed import Collapsed
from bayesplat.model import Geometry, Problem, scale_matrices, with_trend
from bayesplat.priors.repulsion import log_repulsion
from bayesplat.priors.sites import SiteTable, constrain, log_density, unconstrain


class Position(NamedTuple):
    """Where the flow stands: the particles (A, b) and the few numbers they share, all unconstrained."""

    excess: Float[AnyArray, "k q"]  # log(axis length - floor)
    shear: Float[AnyArray, "k c"]  # atanh of partial correlations
    centre: Float[AnyArray, "k d"]
    location: Float[AnyArray, " q"]  # log length around which the prior holds the lengths
    log_tau: Float[AnyArray, ""]  # log of the one amplitude scale that all splats share
    noise: Sites  # unconstrained sites of the likelihood


class NegLogEvidence(eqx.Module):
    """-log p(y | A, b, tau, noise) - log prior, in nats: the flow's default energy.

    Amplitudes are integrated out, so the reaction (Fisher-Rao) is solved exactly at every evaluation. All splats share
    one amplitude scale: free scales per splat overfit the edges of the data. The spread of the prior on lengths is
    held, since its maximum is at zero. Two terms keep the maximum honest: log |det A| per splat makes it the maximum in
    the coordinates (log l, b / l), in which the width of the posterior hardly depends on l, so that spikes on single
    data are not favoured; and a repulsion keeps splats from stacking up in one place to get round the shared scale.
    """

    problem: Problem
    log_typical: Float[AnyArray, ""]  # centre of the prior on log tau
    slack: Float[AnyArray, ""]  # and its sd

    def value(self, position: Position, live: Bool[AnyArray, " k"]) -> Float[AnyArray, ""]:
        """The energy; dead splats count for nothing."""
        geometry = self.geometry(position)
        return -(
            collapsed.log_density(self._factor(geometry, position, live))
            + self._log_prior(position, live)
            + jnp.sum(jnp.where(live, geometry.log_det, 0.0))
            + log_repulsion(geometry.A, geometry.b)
            + self.problem.spec.prior.log_penalty(geometry.A, geometry.b)
        )

    def system(self, position: Position, live: Bool[AnyArray, " k"]) -> Collapsed:
        """The collapsed linear-Gaussian system at a position."""
        return self._factor(self.geometry(position), position, live)

    def geometry(self, position: Position) -> Geometry:
        """Scales and centres of the particles."""
        log_lengths = self.problem.box.log_lengths(position.excess)
        A, log_det = scale_matrices(self.problem.spec, log_lengths, position.shear, self.problem.d)
        return Geometry(A, position.centre, log_det)

    def noise(self, position: Position) -> Sites:
        """Values of the likelihood's sites."""
        return constrain(self.noise_sites(), position.noise)[0]

    def noise_sites(self) -> SiteTable:
        """Sites of the likelihood."""
        return self.problem.spec.likelihood.sites(self.problem.x.shape[0], self.problem.noise_features.shape[1])

    def start(self) -> Position:
        """A position with all splats in the middle: what births then replace."""
        problem, k = self.problem, self.problem.spec.n_splats
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

    def _factor(self, geometry: Geometry, position: Position, live: Bool[AnyArray, " k"]) -> Collapsed:
        problem = self.problem
        columns = problem.features(geometry)
        scales = jnp.where(live, jnp.exp(position.log_tau), 0.0)
        sd = problem.spec.likelihood.data_sd(self.noise(position), problem.noise_features)
        return collapsed.factor(columns, with_trend(scales, columns.shape[1]), problem.y, sd, problem.observed)

    def _log_prior(self, position: Position, live: Bool[AnyArray, " k"]) -> Float[AnyArray, ""]:
        problem, spec, table = self.problem, self.problem.spec, self.noise_sites()
        per_splat, shared = problem.lengths.log_density(position.excess, position.location, problem.box)
        per_splat += spec.centres.log_density(position.centre)
        per_splat += jax.vmap(lambda w: spec.scale_family.log_lkj(w, problem.d, problem.lengths.lkj))(position.shear)
        noise, log_jacobian = constrain(table, position.noise)
        return (
            jnp.sum(jnp.where(live, per_splat, 0.0))
            + shared
            + norm.logpdf(position.log_tau, self.log_typical, self.slack)
            + log_density(table, noise)
            + log_jacobian
        )


def neg_log_evidence(problem: Problem) -> NegLogEvidence:
    """The energy of a problem, in a form that does not depend on the amplitude prior's dials.

    Only the prior's typical scale enters, as data: one compiled flow serves all priors of a comparison.
    """
    prior = problem.spec.prior
    parts = {field.name: getattr(problem, field.name) for field in fields(problem)}
    neutral = Problem(**{**parts, "spec": replace(problem.spec, prior=prior.in_flow)})
    return NegLogEvidence(
        neutral, jnp.log(jnp.asarray(prior.typical(problem.context))), jnp.asarray(prior.slack, problem.x.dtype)
    )
