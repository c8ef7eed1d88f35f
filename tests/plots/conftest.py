"""Posteriors and fits from made-up draws."""

import matplotlib

matplotlib.use("Agg")

import jax
import made_up
import numpy as np
import pytest
from made_up import K, N

import bayesplat as bs
from bayesplat.flow.descent import Run
from bayesplat.flow.step import State


@pytest.fixture(scope="session")
def posterior():
    """Function of d: a Posterior of data with d inputs."""
    made = {d: made_up.posterior(d) for d in (1, 2, 3)}
    return made.__getitem__


@pytest.fixture(scope="session")
def point_fit(posterior):
    """Function of d: a PointFit whose first two splats coincide and whose third is dead."""

    def make(d):
        post = posterior(d)
        draw = post.data["posterior"].to_dataset().isel(chain=0, draw=0)
        A, b, amplitude = (draw[name].values.copy() for name in ("A", "b", "amplitude"))
        A[1], b[1], amplitude[:4] = A[0], b[0], (20.0, 20.0, 20.0, -10.0)
        live = np.arange(K) != 2
        measure = bs.SplatMeasure.from_amplitude(amplitude[:, None], A, b, post.spec.mother, live)
        measure = jax.tree.map(np.asarray, measure)
        runs = tuple(make_run(energy, live, amplitude) for energy in (3.0, 5.0, 8.0))
        x, y = (post.data[group][name].values for group, name in (("constant_data", "x"), ("observed_data", "y")))
        y = np.where(np.arange(N) == 3, np.nan, y)
        return bs.PointFit(post.spec, post.scaling, measure, np.ones(1), 0.3, 1.25, runs, x, y, post.names, "cpu:0")

    return make


def make_run(energy, live, amplitude):
    state = State({}, live, np.asarray(energy))
    history = np.array([energy + 9.0, energy + 2.0, energy])
    alive = np.full(history.size, live.sum())
    reason = "no move lowered the energy in 30 tries"
    certificates = np.array([np.nan, 30.0, 1.25])
    return Run(state, amplitude, np.zeros(1), history, alive, certificates, reason, "gauss-newton", 0.1)
