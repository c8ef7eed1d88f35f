"""From the end of a flow to the start of a chain: values of the model's sites at a point fit."""

import jax.numpy as jnp
import numpy as np

from bayesplat._typing import Sites
from bayesplat.flow.energy import NegLogEvidence
from bayesplat.flow.run import Run
from bayesplat.model import Problem


def chain_start(problem: Problem, energy: NegLogEvidence, run: Run) -> Sites:
    """Values of all sites at the end of a run, splats in order of falling mass on the data."""
    position = run.state.position
    spec = problem.spec
    columns = np.asarray(problem.features(energy.geometry(position)))[:, : spec.n_splats]
    size = np.abs(run.amplitude) * np.sqrt(np.mean(columns**2, 0))
    order = np.argsort(-size)
    noise = energy.noise(position)
    shear = {"shear": jnp.asarray(position.shear)[order]} if position.shear.shape[1] else {}
    return {
        **problem.lengths.start(jnp.asarray(position.excess)[order], jnp.asarray(position.location), problem.box),
        **shear,
        **spec.centres.start(jnp.asarray(position.centre)[order]),
        **spec.prior.start(jnp.asarray(run.amplitude)[order], problem.context, noise["sigma"]),
        **noise,
    }
