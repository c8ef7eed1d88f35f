import numpy as np
import pytest

from bayesplat._checks import BayesplatError
from bayesplat.datasets import NAMES, functions, motorcycle, simulate

SIGNALS = ["blocks", "bumps", "heavisine", "doppler"]
OTHERS = [name for name in NAMES if name not in SIGNALS]


def test_motorcycle_is_the_published_table():
    data = motorcycle()
    assert data.x.shape == data.y.shape == (133,)
    assert np.isfinite(data.x).all()
    assert np.isfinite(data.y).all()
    assert (data.x[0], data.y[0]) == (2.4, 0.0)
    assert (data.x[-1], data.y[-1]) == (57.6, 10.7)
    assert (data.y.min(), data.y.max()) == (-134.0, 75.0)
    assert (np.diff(data.x) >= 0).all()
    assert len(np.unique(data.x)) == 94
    assert "ms" in data.x_name
    assert "g" in data.y_name
    assert data.source == "Silverman (1985)"


@pytest.mark.parametrize("name", NAMES)
def test_simulate_shapes_and_truth(name):
    data = simulate(name, n=50, noise=0.5)
    d = 2 if name in ("surface", "wave") else 1
    assert data.x.shape == (50, d)
    assert data.y.shape == data.truth.shape == (50,)
    assert data.noise == 0.5
    np.testing.assert_array_equal(data.truth, data.f(data.x))
    assert (data.x >= 0).all()
    assert (data.x <= 1).all()
    assert not np.allclose(data.y, data.truth)


@pytest.mark.parametrize("name", NAMES)
def test_simulate_follows_its_seed(name):
    one, again, other = (simulate(name, noise=0.1, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.x, again.x)
    np.testing.assert_array_equal(one.y, again.y)
    assert not np.array_equal(one.y, other.y)
    assert np.array_equal(one.x, other.x) == (name in SIGNALS)  # a signal's design is fixed


@pytest.mark.parametrize(
    ("name", "n", "noise"),
    [
        *((name, 512, 1.0) for name in SIGNALS),
        ("chirp", 200, 0.0),
        ("sawtooth", 1000, 0.0),
        ("surface", 1000, 0.01),
        ("wave", 500, 0.0),
    ],
)
def test_defaults_are_the_experiments_own(name, n, noise):
    data = simulate(name)
    assert data.x.shape[0] == n
    assert data.noise == noise
    assert (noise == 0) == np.array_equal(data.y, data.truth)


@pytest.mark.parametrize("name", SIGNALS)
def test_signals_are_equispaced_with_sd_7_and_keep_their_scale_at_new_points(name):
    data = simulate(name, n=256)
    np.testing.assert_allclose(data.x[:, 0], np.linspace(1 / 256, 1, 256))
    assert np.std(data.truth) == pytest.approx(7)
    unscaled = getattr(functions, name)
    scale = data.truth[100] / unscaled(data.x[100])[0]
    new = np.array([0.111, 0.5, 0.901])
    np.testing.assert_allclose(data.f(new), scale * unscaled(new))
    np.testing.assert_array_equal(data.f(new), data.f(new[:, None]))


@pytest.mark.parametrize("name", OTHERS)
def test_other_functions_are_not_scaled(name):
    data = simulate(name, n=20)
    np.testing.assert_array_equal(data.truth, getattr(functions, name)(data.x).reshape(20))


def _has_sd(residual, sd):
    """Whether the residual's sd is within 4 Monte Carlo standard errors, sd / sqrt(2 n), of `sd`."""
    return abs(np.std(residual) - sd) < 4 * sd / np.sqrt(2 * residual.size)


@pytest.mark.parametrize("name", NAMES)
def test_noise_has_the_sd_asked_for(name):
    data = simulate(name, n=4096, noise=0.3, seed=7)
    residual = data.y - data.truth
    assert _has_sd(residual, 0.3)
    assert abs(residual.mean()) < 4 * 0.3 / np.sqrt(4096)
    assert not _has_sd(1.1 * residual, 0.3)  # planted fault


@pytest.mark.parametrize("name", NAMES)
def test_functions_are_finite_on_the_box(name):
    data = simulate(name, n=10)
    t = np.linspace(0, 1, 101)
    x = t if data.x.shape[1] == 1 else np.stack(np.meshgrid(t, t), -1).reshape(-1, 2)
    assert np.isfinite(data.f(x)).all()
    assert data.f(x).shape == (len(x),)


@pytest.mark.parametrize(
    ("function", "at", "value"),
    [
        (functions.blocks, 0.05, 0.0),  # before the first jump
        (functions.blocks, 0.12, 4.0),
        (functions.blocks, 0.14, -1.0),  # 4 - 5
        (functions.blocks, 0.25, 0.5),  # 4 - 5 + 3 - 4 + 5/2: half of the jump that falls there
        (functions.blocks, 1.0, 0.0),  # the jumps sum to 0
        (functions.bumps, 0.40, 4.20349),  # its own 4.2, 2.1 / 5^4 from 0.44, and 1.3e-4 from the rest
        (functions.heavisine, 0.0, 0.0),  # 0 + 1 - 1
        (functions.heavisine, 0.125, 4.0),  # 4 + 1 - 1
        (functions.heavisine, 0.5, -2.0),  # 0 - 1 - 1
        (functions.doppler, 0.0, 0.0),
        (functions.doppler, 0.5, -0.27032),  # sin(2.1 pi / 0.55) / 2 = -sin(0.571199) / 2
        (functions.doppler, 1.0, 0.0),
        (functions.chirp, 0.0, 0.0),
        (functions.chirp, 1 - np.sqrt(1 - 1 / 40), 1.0),  # t (2 - t) = 1/40
        (functions.chirp, 1.0, 0.0),
        (functions.sawtooth, 0.0, 0.0),
        (functions.sawtooth, 1 / 12, 0.5),
        (functions.surface, (1 / 36, 0.0), 1.0),  # sin(pi / 2) cos(0)
        (functions.surface, (1 / 36, 1 / 3), -1.0),
        (functions.wave, (0.5, 0.5), 0.0),
        (functions.wave, (0.6, 0.6), 0.761594),  # tanh(1)
    ],
)
def test_known_values(function, at, value):
    assert function(np.array([at]))[0] == pytest.approx(value, abs=1e-5)


def test_sawtooth_has_6_teeth():
    assert np.sum(np.diff(functions.sawtooth(np.linspace(0, 1, 6001))) < -0.5) == 6


def _allen_cahn_residual(u, eps=0.1, h=1e-3):
    """Largest |eps^2 lap u + u - u^3| inside the square, by central differences."""
    t = np.linspace(0.05, 0.95, 31)
    x = np.stack(np.meshgrid(t, t), -1)
    steps = h * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    laplacian = (sum(u(x + step) for step in steps) - 4 * u(x)) / h**2
    return np.max(np.abs(eps**2 * laplacian + u(x) - u(x) ** 3))


def test_wave_solves_allen_cahn_and_the_published_one_does_not():
    def published(x, eps=0.1):
        return np.tanh((x[..., 0] + x[..., 1] - 1) / (np.sqrt(2) * eps))

    assert _allen_cahn_residual(functions.wave) < 1e-4
    assert _allen_cahn_residual(published) > 0.3


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"name": "blob"}, "'blocks', 'bumps'"),
        ({"name": "chirp", "n": 0}, "`n`"),
        ({"name": "bumps", "n": 1}, "at least 2"),
        ({"name": "chirp", "noise": -1.0}, "`noise`"),
        ({"name": "chirp", "noise": float("nan")}, "`noise`"),
        ({"name": "chirp", "seed": -1}, "`seed`"),
    ],
)
def test_simulate_refuses(arguments, word):
    with pytest.raises(BayesplatError, match=word):
        simulate(**arguments)
