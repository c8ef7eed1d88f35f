"""From the end of a flow to the start of a chain: values of the model's sites at a point fit."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from bayesplat._typing import AnyArray, Sites
from bayesplat.flow.descent import Run
from bayesplat.flow.energy import Energy
from bayesplat.flow.position import Position, geometry
from bayesplat.flow.step import State
from bayesplat.model import Problem


def _unused(problem: Problem, state: State) -> Position:
    """The end of a run with its dead splats of typical shape, spread over the data: where a chain may need them."""
    position, dead = state.position, ~state.live[:, None]
    rows = np.linspace(0, problem.x.shape[0] - 1, dead.size).astype(int)
    return position._replace(
        excess=jnp.where(dead, position.location[None, :], position.excess),
        shear=jnp.where(dead, 0.0, position.shear),
        centre=jnp.where(dead, problem.x[rows], position.centre),
    )


def _falling(size: Float[AnyArray, " k"], kinds: int) -> Int[AnyArray, " k"]:
    """Splats by falling size, each in a slot of its own mother."""
    order = jnp.arange(size.size)
    for kind in range(kinds):
        own = order[kind::kinds]
        order = order.at[kind::kinds].set(own[jnp.argsort(-size[kind::kinds])])
    return order


def chain_start(problem: Problem, energy: Energy, run: Run) -> Sites:
    """Values of all sites at the end of a run, splats of each mother in order of falling mass on the data."""
    return _values(problem, energy, run.state, run.amplitude)


@eqx.filter_jit
def _values(problem: Problem, energy: Energy, state: State, amplitude: Float[AnyArray, " k"]) -> Sites:
    position, spec = _unused(problem, state), problem.spec
    at = geometry(problem, position)
    size = jnp.abs(amplitude) * jnp.sqrt(jnp.mean(problem.columns(at.A, at.b) ** 2, 0))
    order = _falling(size, len(spec.mother.kinds))
    noise = energy.noise(position)
    shear = {"shear": position.shear[order]} if position.shear.shape[1] else {}
    return {
        **problem.lengths.start(position.excess[order], position.location, problem.box),
        **shear,
        **spec.centres.start(position.centre[order]),
        **spec.prior.start(amplitude[order], problem.context, problem.noise_size(noise)),
        **noise,
    }
