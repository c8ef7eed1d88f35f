"""The Wasserstein-Fisher-Rao flow on measures, assembled: transport, then reaction, in steps that curvature allows."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bayesplat._typing import AnyArray, Float
from bayesplat.flow.measure_space import reaction, transport
from bayesplat.flow.measure_space.curvature import stable_step
from bayesplat.flow.measure_space.functional import Energy
from bayesplat.flow.measure_space.particles import polar
from bayesplat.flow.measure_space.transport import Metric, frobenius
from bayesplat.measure import SplatMeasure

__all__ = ["History", "Pace", "run"]


class Pace(NamedTuple):
    """Length of each part of a step, in stable steps: the weights of the two parts of the metric; 0 leaves one out."""

    transport: Float[AnyArray, ""] | float = 1.0
    reaction: Float[AnyArray, ""] | float = 1.0


EVEN = Pace()
"""Both parts at the stable step."""


class History(NamedTuple):
    """What was there before each step."""

    energy: Float[AnyArray, "steps"]
    mass: Float[AnyArray, "steps"]  # sum_i |v_i|
    dt: Float[AnyArray, "steps"]  # the stable step


def run(
    energy: Energy,
    measure: SplatMeasure,
    steps: int,
    conserve: bool,
    metric: Metric = frobenius,
    pace: Pace = EVEN,
) -> tuple[SplatMeasure, History]:
    """Measure after so many steps of transport and then reaction, and the history; the number of splats stays.

    Some splat must have mass: without any there is no stable step, and nothing to transport.
    """

    def step(measure: SplatMeasure, _: None) -> tuple[SplatMeasure, History]:
        dt = stable_step(energy, measure, metric)
        before = History(energy.value(measure), jnp.sum(polar(measure)[0]), dt)
        moved = transport.step(energy, measure, pace.transport * dt, metric)
        return reaction.step(energy, moved, pace.reaction * dt, conserve), before

    return jax.lax.scan(step, jax.tree.map(jnp.asarray, measure), length=steps)
