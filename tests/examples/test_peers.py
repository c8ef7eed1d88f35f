"""Each peer of the paper's experiments recovers something known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import signals
import table
from peers import networks, paper_splats, pinn, polynomials, statistics
from scipy.stats import multivariate_normal

import bayesplat as bs
from bayesplat.datasets import functions

GRID = np.linspace(0, 1, 1001)[:, None]


def mse(fitted, x, truth):
    values = fitted.predict(x)
    assert values.shape == (len(x),)
    assert values.dtype == np.float64
    return np.mean((values - truth) ** 2)


def curve(n=64):
    x = np.linspace(0, 1, n)[:, None]
    return x, np.sin(6 * x[:, 0])


def cubic(t):
    return 1 - 2 * t + 5 * t**3


@pytest.mark.parametrize(
    "fitted",
    [
        polynomials.chebyshev_interpolation(cubic, 3),
        polynomials.chebyshev_least_squares(GRID[::50], cubic(GRID[::50, 0]), 4),
    ],
    ids=["interpolation", "least squares"],
)
def test_chebyshev_is_exact_on_polynomials(fitted):
    assert mse(fitted, GRID, cubic(GRID[:, 0])) < 1e-24
    assert fitted.parameters == 4


def test_haar_is_exact_on_steps_of_an_eighth():
    heights = np.random.default_rng(0).normal(size=8)

    def steps(t):
        return heights[np.minimum((8 * t).astype(int), 7)]

    x = np.random.default_rng(1).uniform(size=(100, 1))
    assert mse(polynomials.haar(x, steps(x[:, 0]), 8), GRID, steps(GRID[:, 0])) < 1e-24
    assert mse(polynomials.haar(x, steps(x[:, 0]), 7), GRID, steps(GRID[:, 0])) > 1e-3


def test_haar_functions_are_orthonormal():
    middle = (np.arange(64) + 0.5) / 64
    values = polynomials.haar_functions(middle, 64)
    np.testing.assert_allclose(values.T @ values / 64, np.eye(64), atol=1e-12)


def test_splats_follow_their_formula(x64):
    rng = np.random.default_rng(0)
    v, A, b, x = (rng.normal(size=shape) for shape in [4, (4, 2, 2), (4, 2), (5, 2)])
    densities = [multivariate_normal(centre, scale @ scale.T).pdf(x) for scale, centre in zip(A, b, strict=True)]
    found = jax.jit(paper_splats.evaluate)(paper_splats.Splats(v, A, b), x)
    np.testing.assert_allclose(found, v @ np.stack(densities), rtol=1e-10)


def test_chebyshev_start_is_half_way_to_the_nearest_neighbour():
    start = paper_splats.chebyshev_start(5)
    b, A = np.asarray(start.b[:, 0]), np.asarray(start.A[:, 0, 0])
    apart = np.abs(b[:, None] - b) + 9 * np.eye(5)
    np.testing.assert_allclose(A, apart.min(axis=1) / 2, rtol=1e-5)
    assert not np.any(start.v)


def test_random_starts_are_not_the_data_of_the_same_seed():
    drawn = bs.datasets.simulate("surface", n=50, seed=3)
    start = paper_splats.uniform_start(50, 2, 3)
    assert np.abs(np.asarray(start.b)[:, None] - drawn.x).max(-1).min() > 1e-6
    np.testing.assert_array_equal(start.b, paper_splats.uniform_start(50, 2, 3).b)


def test_units_of_y_do_not_matter_to_a_peer_in_sds():
    drawn = bs.datasets.simulate("doppler", n=64)
    scaled = drawn._replace(y=3 + 1e3 * drawn.y)
    fit = signals.in_sds(table.on(paper_splats.adam, k=4, steps=50, learning_rate=1e-2))
    np.testing.assert_allclose(fit(scaled, 0).predict(GRID), 3 + 1e3 * fit(drawn, 0).predict(GRID), rtol=1e-4)


@pytest.mark.parametrize(
    ("train", "settings"),
    [(paper_splats.plain_flow, {"learning_rate": 1e-3}), (paper_splats.adam, {"learning_rate": 1e-2})],
    ids=["plain_flow", "adam"],
)
def test_splats_lower_their_loss(train, settings):
    x, y = curve()
    assert mse(train(x, y, 8, steps=300, **settings), x, y) < 0.1 * np.mean(y**2)  # the start is f = 0


def test_parameters_of_splats_are_those_of_the_paper():
    assert [paper_splats.parameter_count(k, 2) for k in (10, 50, 100, 200, 300)] == [60, 300, 600, 1200, 1800]


@pytest.mark.parametrize(
    ("method", "settings", "count"),
    [
        ("mlp", {"hidden": (8,)}, 2 * 8 + 8 + 8 + 1),
        ("kan", {"hidden": (4,), "degree": 3}, (2 * 4 + 4) * 3 + 4 + 1),
        pytest.param(
            "kan",
            {"hidden": (4,), "basis": "spline", "degree": 3},
            (2 * 4 + 4) * (5 + 3 + 2) + 4 + 1,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["mlp", "chebyshev", "spline"],
)
def test_networks_lower_their_loss(method, settings, count):
    x = np.random.default_rng(0).uniform(5, 6, size=(100, 2))
    y = 30 * x[:, 0] * x[:, 1]
    fitted = getattr(networks, method)(x, y, steps=200, learning_rate=1e-2, **settings)
    assert mse(fitted, x, y) < 0.1 * y.var()
    assert fitted.parameters == count


def test_fast_splines_are_those_of_jaxkan():
    layer = networks.Splines(n_in=2, n_out=3, k=3, G=5)
    x = jax.random.uniform(jax.random.key(0), (50, 2), minval=-1, maxval=1)
    fast, slow = jax.jit(lambda x: (layer.basis(x), super(networks.Splines, layer).basis(x)))(x)
    np.testing.assert_allclose(fast, slow, atol=1e-5)


def test_exact_solution_leaves_no_residual(x64):
    def residual(slope):
        return pinn.residual(lambda at: jnp.tanh(slope * (at.sum(axis=1) - 1)), x, eps=0.1)

    x = jnp.asarray(np.random.default_rng(0).uniform(size=(50, 2)))
    assert jnp.abs(residual(1 / (2 * 0.1))).max() < 1e-12
    assert jnp.abs(residual(1 / (2**0.5 * 0.1))).max() > 0.1  # as published: no solution


def test_laplacian_of_a_polynomial():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(7, 2)), jnp.float32)
    value, found = pinn.laplacian(lambda at: at[:, 0] ** 3 * at[:, 1] + at[:, 1] ** 2, x)
    np.testing.assert_allclose(value, x[:, 0] ** 3 * x[:, 1] + x[:, 1] ** 2, rtol=1e-5)
    np.testing.assert_allclose(found, 6 * x[:, 0] * x[:, 1] + 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        pytest.param("pinn", {"hidden": (10,)}, marks=pytest.mark.slow),
        pytest.param("pinn", {"hidden": (4,), "network": "kan", "degree": 6}, marks=pytest.mark.slow),
        ("splat_pinn", {"k": 8}),
    ],
    ids=["mlp", "kan", "splats"],
)
def test_pinns_approach_the_solution(method, settings):
    rng = np.random.default_rng(0)
    interior, boundary = rng.uniform(size=(50, 2)), rng.uniform(size=(40, 2))
    side = np.arange(40) % 4
    boundary[np.arange(40), side % 2] = side // 2
    fitted = getattr(pinn, method)(
        interior, boundary, functions.wave(boundary), steps=200, learning_rate=1e-2, batch=45, **settings
    )
    truth = functions.wave(interior)
    assert mse(fitted, interior, truth) < 0.6 * np.mean(truth**2)


@pytest.mark.parametrize("name", ["blocks", "doppler"])
def test_wavelets_remove_noise(name):
    data = bs.datasets.simulate(name)
    x = data.x.reshape(-1, 1)
    fitted = statistics.wavelets(x, data.y, wavelet=statistics.BEST_WAVELET[name], noise=1.0)
    assert mse(fitted, x, data.truth) < 0.25
    assert fitted.parameters < 100
    assert float(statistics.wavelets(x, data.y).note.split()[-1]) == pytest.approx(1, abs=0.2)


def test_wavelets_refuse_points_at_random():
    with pytest.raises(ValueError, match="equispaced"):
        statistics.wavelets(np.sort(np.random.default_rng(0).uniform(size=(64, 1)), axis=0), np.zeros(64))


@pytest.mark.parametrize(
    ("method", "settings", "bound"),
    [
        ("gaussian_process", {"kernel": "rbf", "restarts": 0}, 1e-11),
        ("gaussian_process", {"kernel": "matern", "restarts": 0}, 1e-6),
        ("boosting", {}, 0.05),
    ],
)
def test_statistics_find_a_curve(method, settings, bound):
    x, y = curve()
    assert mse(getattr(statistics, method)(x, y, **settings), GRID, np.sin(6 * GRID[:, 0])) < bound


def test_bands_of_a_process_are_those_of_the_function_without_noise():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(size=(200, 1)), axis=0)
    fitted = statistics.gaussian_process(x, 50 + 10 * (np.sin(6 * x[:, 0]) + 0.3 * rng.normal(size=200)), restarts=0)
    lower, upper = fitted.band(GRID)
    truth = 50 + 10 * np.sin(6 * GRID[:, 0])
    assert np.mean((lower <= truth) & (truth <= upper)) > 0.7
    # 2 * 1.645 * 3 for new data; f of some six degrees of freedom is known to 3 * sqrt(6 / 200)
    assert 1.0 < np.mean(upper - lower) < 3.0
