"""Posteriors and fits from made-up draws, put together by the package itself, so that pictures cost no sampling."""

import matplotlib

matplotlib.use("Agg")

import jax
import numpy as np
import pytest

import bayesplat as bs
from bayesplat.diagnostics.convert import to_datatree
from bayesplat.flow.run import Run, State
from bayesplat.likelihoods import NoiseField
from bayesplat.posterior.draws import Draw
from bayesplat.scaling import fit_scaling

INPUTS = ("depth (km)", "age (Myr)", "porosity (%)")
OUTPUT = "heat flow (W/m²)"
K, N, CHAINS, DRAWS = 5, 40, 2, 25


def made_up_draws(rng, y, d, chains, draws):
    """Draws that nobody sampled: splats anywhere, f about the data, leave-one-out densities of N(f, 0.3)."""
    at = (chains, draws)
    amplitude = rng.normal(size=(*at, K)) + 0.5
    amplitude[..., -1] = 1e-8  # negligible
    f = y + 0.3 * rng.normal(size=(*at, N))
    zero = np.zeros(at)
    return Draw(
        values={"sigma": np.full(at, 0.3)},
        A=np.eye(d) * rng.uniform(0.2, 0.5, (*at, K, 1, 1)),
        b=rng.uniform(0, 1, (*at, K, d)),
        amplitude=amplitude,
        trend=rng.normal(size=(*at, 1)),
        f=f,
        replicate=f + 0.3 * rng.normal(size=f.shape),
        log_likelihood=-0.5 * ((y - f) / 0.3) ** 2,
        loo_log_density=-0.5 * ((y - f) / 0.3) ** 2,
        loo_cdf=rng.uniform(size=f.shape),
        log_prior={"sigma": zero},
        contribution=np.abs(amplitude),
        cancelling=zero,
        spikes=zero,
        drifting=zero,
    )


@pytest.fixture(scope="session")
def posterior():
    """Function of d: a Posterior of data with d inputs."""

    def make(d):
        rng = np.random.default_rng(d)
        x, y = rng.uniform(1, 9, (N, d)), 100 + 20 * rng.normal(size=N)
        spec, scaling, names = bs.SplatModel(n_splats=K, prior=bs.Ridge()), fit_scaling(x, y), (*INPUTS[:d], OUTPUT)
        drawn = made_up_draws(rng, scaling.to_standard(y), d, CHAINS, DRAWS)
        prior = made_up_draws(rng, scaling.to_standard(y), d, 1, 60)
        stats = {"lp": np.arange(CHAINS * DRAWS, dtype=float).reshape(CHAINS, DRAWS)}
        field = NoiseField(np.zeros((0, d)), 1.0, np.zeros(0))
        tree = to_datatree(spec, scaling, drawn, prior, stats, x, y, np.arange(N), names, field)
        return bs.Posterior(spec, scaling, names, tree, {"method": "nuts", "seed": 0, "seconds": 1.0})

    made = {d: make(d) for d in (1, 2, 3)}
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
        return bs.PointFit(post.spec, post.scaling, measure, np.ones(1), 0.3, 1.25, runs, x, y, post.names)

    return make


def make_run(energy, live, amplitude):
    state = State({}, live, np.asarray(energy))
    history = np.array([energy + 9.0, energy + 2.0, energy])
    return Run(state, amplitude, np.zeros(1), history, 1.25, "no rebirth lowered the energy in 25 tries", 0.1)
