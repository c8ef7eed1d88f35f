"""From the end of a flow to the start of a chain: values of the model's sites at a point fit."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from bayesplat._typing import Sites
from bayesplat.flow.energy import Energy
from bayesplat.flow.position import Position, geometry
from bayesplat.flow.run import Run
from bayesplat.model import Problem


def _unused(problem: Problem, run: Run) -> Position:
    """The end of a run with its dead splats of typical shape, spread over the data: where a chain may need them."""
    position, dead = run.state.position, ~run.state.live[:, None]
    rows = np.linspace(0, problem.x.shape[0] - 1, dead.size).astype(int)
    return position._replace(
        excess=np.where(dead, position.location[None, :], position.excess),
        shear=np.where(dead, 0.0, position.shear),
        centre=np.where(dead, np.asarray(problem.x)[rows], position.centre),
    )


def _falling(size: Float[np.ndarray, " k"], kinds: int) -> Int[np.ndarray, " k"]:
    """Splats by falling size, each in a slot of its own mother."""
    order = np.arange(size.size)
    for kind in range(kinds):
        order[kind::kinds] = order[kind::kinds][np.argsort(-size[kind::kinds])]
    return order


def chain_start(problem: Problem, energy: Energy, run: Run) -> Sites:
    """Values of all sites at the end of a run, splats of each mother in order of falling mass on the data."""
    position = _unused(problem, run)
    spec = problem.spec
    columns = np.asarray(problem.features(geometry(problem, position)))[:, : spec.n_splats]
    size = np.abs(run.amplitude) * np.sqrt(np.mean(columns**2, 0))
    order = _falling(size, len(spec.mother.kinds))
    noise = energy.noise(position)
    shear = {"shear": jnp.asarray(position.shear)[order]} if position.shear.shape[1] else {}
    return {
        **problem.lengths.start(jnp.asarray(position.excess)[order], jnp.asarray(position.location), problem.box),
        **shear,
        **spec.centres.start(jnp.asarray(position.centre)[order]),
        **spec.prior.start(jnp.asarray(run.amplitude)[order], problem.context, noise["sigma"]),
        **noise,
    }
