"""Posteriors from made-up draws, put together by the package itself, so that pictures and files cost no sampling."""

import numpy as np

import bayesplat as bs
from bayesplat.diagnostics.convert import to_datatree
from bayesplat.likelihoods import NoiseField
from bayesplat.posterior.draws import Draw
from bayesplat.scaling import fit_scaling

INPUTS = ("depth (km)", "age (Myr)", "porosity (%)")
RANGES = (1.0, 30.0, 0.5)  # of inputs in turn, relative to the first
OUTPUT = "heat flow (W/m²)"
K, N, CHAINS, DRAWS = 5, 40, 2, 25
INFO = {"method": "nuts", "seed": 0, "seconds": 1.0, "interrupted": False}


def bump():
    """x and y of one bump on a level, forty data: small enough to be sampled in a test."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(10.0, 30.0, 40))
    return x, 5.0 + 3.0 * np.exp(-0.5 * (x - 18.0) ** 2) + 0.2 * rng.normal(size=40)


def made_up_draws(rng, y, d, chains, draws):
    """Draws that nobody sampled: splats anywhere, f about the data, leave-one-out densities of N(f, 0.3)."""
    at = (chains, draws)
    amplitude = rng.normal(size=(*at, K)) + 0.5
    amplitude[..., -1] = 1e-8  # negligible
    f = y + 0.3 * rng.normal(size=(*at, N))
    zero = np.zeros(at)
    return Draw(
        values={"sigma": np.full(at, 0.3)},
        A=(np.eye(d) + 0.5 * np.tri(d, k=-1)) * rng.uniform(0.2, 0.5, (*at, K, 1, 1)),  # tilted
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


def posterior(d, still=()):
    """A Posterior of data with d inputs, some of which have one value."""
    rng = np.random.default_rng(d)
    x, y = rng.uniform(1, 9, (N, d)) * np.resize(RANGES, d), 100 + 20 * rng.normal(size=N)
    x[:, list(still)] = 1013.25
    names = (*INPUTS[:d], *(f"input {j}" for j in range(len(INPUTS), d)), OUTPUT)
    spec, scaling = bs.SplatModel(n_splats=K, prior=bs.Ridge()), fit_scaling(x, y)
    drawn = made_up_draws(rng, scaling.to_standard(y), d, CHAINS, DRAWS)
    prior = made_up_draws(rng, scaling.to_standard(y), d, 1, 60)
    stats = {"lp": np.arange(CHAINS * DRAWS, dtype=float).reshape(CHAINS, DRAWS)}
    field = NoiseField(np.zeros((0, d)), 1.0, np.zeros(0))
    tree = to_datatree(spec, scaling, drawn, prior, stats, x, y, np.arange(N), names, field)
    return bs.Posterior(spec, scaling, names, tree, INFO)
