"""Noise models against known noise: a curve sigma(x) inside its bands, and outliers that Student-t noise shrugs off."""

import numpy as np
import pytest

import bayesplat as bs

pytestmark = pytest.mark.slow

GRID = np.linspace(0.02, 0.98, 97)
BUDGET = {"warmup": 300, "draws": 300}


def wave(x):
    return np.sin(2 * np.pi * x)


def noise(x):
    """From 0.05 to 0.4, smoothly."""
    return 0.05 + 0.35 / (1 + np.exp(-12 * (x - 0.5)))


@pytest.fixture(scope="module")
def curve():
    """Share of the noise curve inside 90% bands, for 12 data sets, and those of a constant noise."""
    shares = {"varying": [], "constant": []}
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x = np.sort(rng.uniform(size=200))
        y = wave(x) + noise(x) * rng.normal(size=200)
        for kind, share in shares.items():
            post = bs.SplatModel(6, prior=bs.Ridge(), likelihood=bs.Normal(kind)).sample(x, y, seed=seed, **BUDGET)
            band = post.predict(GRID, kind="noise")
            share.append(np.mean((band.lower <= noise(GRID)) & (noise(GRID) <= band.upper)))
    return {kind: np.array(share) for kind, share in shares.items()}


def test_bands_of_varying_noise_cover_the_noise_curve(curve):
    # the curve is no member of the model (log sigma is a sum of a few bumps): near 90% is all that can be asked
    assert 0.8 < curve["varying"].mean() < 0.99


def test_bands_of_constant_noise_do_not(curve):
    assert curve["constant"].mean() < 0.3


def test_outliers_move_normal_noise_and_not_student_t():
    # by default a splat may be narrow enough to take an outlier of 30 sds for a feature (`overfitting()` counts such
    # spikes); longer lengths, as its advice says, leave the outliers to the noise
    lengths, errors = bs.Lengths(typical=0.2), {"normal": [], "student-t": []}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        x = np.sort(rng.uniform(size=100))
        y = wave(x) + 0.1 * rng.normal(size=100)
        y[rng.choice(100, 6, replace=False)] += rng.choice([-3.0, 3.0], 6)
        for name, likelihood in {"normal": bs.Normal(), "student-t": bs.StudentT()}.items():
            model = bs.SplatModel(6, prior=bs.Ridge(), likelihood=likelihood, lengths=lengths)
            post = model.sample(x, y, seed=seed, **BUDGET)
            errors[name].append(np.mean((post.predict(GRID).mean - wave(GRID)) ** 2))
    assert np.median(errors["student-t"]) < 0.25 * np.median(errors["normal"])
    assert np.median(errors["student-t"]) < 3e-3
