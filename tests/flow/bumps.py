"""One small problem for all tests of the flow: bumps in one dimension."""

import jax.numpy as jnp
import numpy as np
import pytest

from bayesplat import model
from bayesplat.devices import inference
from bayesplat.flow import run
from bayesplat.flow.evidence import neg_log_evidence
from bayesplat.priors import Ridge

N, K, NOISE, WIDTH = 40, 6, 0.03, 0.05
X = np.linspace(0, 1, N)[:, None]
HEIGHTS = np.array([1.0, -0.8, 0.9, -1.1])
SETTINGS = run.Settings(trial=20, rounds=40, patience=10)


def bumps(*places, noise=NOISE, seed=0):
    """Bumps of `WIDTH` with the first of `HEIGHTS`, and noise."""
    columns = np.exp(-0.5 * ((X - np.asarray(places)) / WIDTH) ** 2)
    return columns @ HEIGHTS[: len(places)] + noise * np.random.default_rng(seed).normal(size=N)


def problem_of(y, x=X, k=K, prior=Ridge(), **parts):  # noqa: B008 - a frozen specification
    """A problem of standardised data; a fixed overlap stands in for the estimate, which takes seconds to compile."""
    spec = model.Specification(k, prior, **parts)
    with pytest.MonkeyPatch.context() as patch, inference():
        patch.setattr(model, "_overlap", lambda *_: jnp.asarray(0.15, float))
        return model.bind(spec, x, (y - np.nanmean(y)) / np.nanstd(y), spec.likelihood.field(x))


def energy_of(y, **parts):
    """The flow's default energy of standardised data."""
    with inference():
        return neg_log_evidence(problem_of(y, **parts))


def fitted(energy, done):
    """Values of the point fit at the data, by NumPy."""
    at = done.state.position
    length = np.exp(at.excess[:, 0]) + 0.25 * float(jnp.minimum(energy.problem.spacing, energy.problem.grid))
    columns = np.exp(-0.5 * ((X - at.centre[:, 0]) / length) ** 2)
    return columns @ done.amplitude + done.trend[0]


def rms(values):
    return float(np.sqrt(np.mean(values**2)))


def misfit(energy, done, *places):
    """Root mean square distance of a point fit from the truth, in sds of the noise."""
    y = bumps(*places)
    return rms(y.mean() + y.std() * fitted(energy, done) - bumps(*places, noise=0.0)) / NOISE
