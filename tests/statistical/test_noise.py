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


class Spiky(bs.StudentT):
    """Student-t noise beside splats as narrow as Gaussian noise allows."""

    narrowest = bs.Normal.narrowest


LIKELIHOODS = {"normal": bs.Normal(), "student-t": bs.StudentT(), "spiky": Spiky()}


def test_outliers_of_thirty_sds_move_normal_noise_and_not_student_t():
    errors = {"normal": [], "student-t": []}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        x = np.sort(rng.uniform(size=100))
        y = wave(x) + 0.1 * rng.normal(size=100)
        y[rng.choice(100, 6, replace=False)] += rng.choice([-3.0, 3.0], 6)
        for name, error in errors.items():
            model = bs.SplatModel(6, prior=bs.Ridge(), likelihood=LIKELIHOODS[name])
            post = model.sample(x, y, seed=seed, **BUDGET)
            error.append(np.mean((post.predict(GRID).mean - wave(GRID)) ** 2))
    assert np.median(errors["student-t"]) < 0.25 * np.median(errors["normal"])
    assert np.median(errors["student-t"]) < 3e-3


def two_scales(x):
    return np.exp(-0.5 * ((x - 0.4) / 0.2) ** 2) + 1.5 * np.exp(-0.5 * ((x - 0.7) / 0.015) ** 2)


@pytest.fixture(scope="module")
def outliers():
    """Squared errors and numbers of splats on single data for ten data sets with six outliers of 8 to 20 sds each."""
    errors, spikes = ({name: [] for name in LIKELIHOODS} for _ in range(2))
    for truth in (wave, two_scales):
        for seed in range(5):
            rng = np.random.default_rng(seed)
            x = np.sort(rng.uniform(size=100))
            y = truth(x) + 0.1 * rng.normal(size=100)
            y[rng.choice(100, 6, replace=False)] += rng.choice([-1, 1], 6) * rng.uniform(0.8, 2.0, 6)
            for name, likelihood in LIKELIHOODS.items():
                post = bs.SplatModel(12, likelihood=likelihood).sample(x, y, seed=seed, **BUDGET)
                errors[name].append(np.mean((post.predict(GRID).mean - truth(GRID)) ** 2))
                spikes[name].append(float(post.data["posterior"]["spikes"].mean()))
    for name in LIKELIHOODS:
        print(f"{name}: MSE {np.mean(errors[name]):.4f} (median {np.median(errors[name]):.4f}), ", end="")
        print(f"splats on a single datum {np.mean(spikes[name]):.2f}")
    return {name: np.array(each) for name, each in errors.items()}, {n: np.array(each) for n, each in spikes.items()}


def test_outliers_move_normal_noise_and_not_student_t(outliers):
    errors, spikes = outliers
    assert np.median(errors["student-t"]) < 3e-3
    assert np.mean(errors["student-t"]) < 0.2 * np.mean(errors["normal"])
    assert np.mean(spikes["student-t"]) < 0.1 * np.mean(spikes["normal"])


def test_narrow_splats_would_take_outliers_for_features(outliers):
    errors, spikes = outliers
    assert np.mean(errors["student-t"]) < 0.8 * np.mean(errors["spiky"])
    assert np.mean(spikes["student-t"]) < 0.5 * np.mean(spikes["spiky"])
