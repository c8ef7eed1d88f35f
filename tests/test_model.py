"""The log joint: against its NumPyro program, under relabelling, rescaling and missing data, and its gradient."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.infer.util import log_density, potential_energy
from scipy import stats
from scipy.integrate import quad
from statistical import P_VALUE, mean_p_value
from tables import LIKELIHOODS, PRIORS

from bayesplat import blocks, collapsed, model
from bayesplat._checks import BayesplatError
from bayesplat.likelihoods import Normal, StudentT
from bayesplat.mothers import Box, Gaussian, Mixed
from bayesplat.posterior.program import potential, program
from bayesplat.priors import Centres, Lengths, RegularizedHorseshoe, Repulsive, Ridge, StickBreaking
from bayesplat.priors.geometry import PER_SPLAT
from bayesplat.priors.sites import constrain
from bayesplat.scaling import fit_scaling
from bayesplat.trend import PRIOR_SD, TRENDS, trend_features

RNG = np.random.default_rng(0)
N, D, K = 12, 2, 5
X, Y = RNG.uniform(size=(N, D)), RNG.normal(size=N)
GAPS = np.where(np.arange(N) % 5 == 1, np.nan, Y)

priors = pytest.mark.parametrize("prior", PRIORS)
likelihoods = pytest.mark.parametrize("likelihood", LIKELIHOODS)


@pytest.fixture(autouse=True, scope="module")
def real_overlap():
    """Stand in for the estimate of the overlap, which takes seconds to compile, and hand out the real one."""
    with pytest.MonkeyPatch.context() as patch:
        real = model._overlap
        patch.setattr(model, "_overlap", lambda spec, x, *scales: jnp.mean(x))
        yield real


def bound(prior="ridge", likelihood="normal", x=X, y=Y, error=None, **spec):
    spec = model.Specification(K, PRIORS[prior], LIKELIHOODS[likelihood], **spec)
    return model.bind(spec, x, y, spec.likelihood.field(x), error=error)


def random_position(problem, seed=0):
    """An unconstrained position: standard normal in every coordinate."""
    rng = np.random.default_rng(seed)
    return {name: jnp.asarray(0.7 * rng.normal(size=prior.shape())) for name, prior in problem.sites().items()}


def random_values(problem, seed=0):
    return constrain(problem.sites(), random_position(problem, seed))[0]


# ---------------------------------------------------------------- one density, written twice


@priors
@likelihoods
def test_program_potential_and_log_joint_agree(prior, likelihood, x64):
    problem = bound(prior, likelihood)
    position = random_position(problem)
    values, log_jacobian = constrain(problem.sites(), position)
    log_joint = float(problem.log_joint(values))
    assert np.isfinite(log_joint)
    np.testing.assert_allclose(log_density(program, (problem,), {}, values)[0], log_joint, rtol=1e-11)
    energy = potential_energy(program, (problem,), {}, position)
    np.testing.assert_allclose(energy, -(log_joint + float(log_jacobian)), rtol=1e-11)
    np.testing.assert_allclose(potential(problem, position), energy, rtol=1e-11)


@pytest.fixture(scope="module")
def compiled():
    """A problem with every part, and its potential with gradient, compiled once."""
    with jax.enable_x64(True):
        problem = bound("repulsive horseshoe", "varying student-t", y=GAPS, trend="linear")
        yield problem, jax.jit(jax.value_and_grad(lambda position: potential(problem, position)))


def test_gradient_equals_finite_differences(compiled):
    problem, value_and_grad = compiled
    position, step = random_position(problem), 1e-5
    _, gradient = value_and_grad(position)
    for site, at in position.items():
        direction = np.random.default_rng(1).normal(size=at.shape)
        up, down = (value_and_grad({**position, site: at + sign * step * direction})[0] for sign in (1, -1))
        np.testing.assert_allclose(np.sum(gradient[site] * direction), (up - down) / (2 * step), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("trend", TRENDS)
def test_blocks_of_rows_change_no_density(trend, monkeypatch, x64):
    x, y = RNG.uniform(size=(20_000, D)), RNG.normal(size=20_000)
    problem = bound("horseshoe", "varying normal", x=x, y=np.where(x[:, 0] < 0.1, np.nan, y), trend=trend)
    position = random_position(problem)

    def density():
        return jax.jit(jax.value_and_grad(lambda position: potential(problem, position)))(position)

    values = []
    for entries in (10**9, 1):
        monkeypatch.setattr(blocks, "IN_CACHE", entries)
        values.append(density())
    (whole, expected), (summed, gradient) = values
    np.testing.assert_allclose(summed, whole, rtol=1e-12)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8), gradient, expected)


def test_memory_of_a_gradient_does_not_grow_with_the_features(x64):
    n, k = 100_000, 40
    x, y = RNG.uniform(size=(n, D)), RNG.normal(size=n)
    problem = model.bind(model.Specification(k), x, y, Normal().field(x))
    start = {name: jnp.zeros(prior.shape()) for name, prior in problem.sites().items()}
    compiled = jax.jit(jax.grad(lambda position: potential(problem, position))).lower(start).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 8 * n * k


def test_gradient_stays_finite_far_from_the_bulk(compiled):
    problem, value_and_grad = compiled
    for seed in range(5):
        position = jax.tree.map(lambda leaf: 2 * leaf, random_position(problem, seed))
        value, gradient = value_and_grad(position)
        assert np.isfinite(value)
        assert all(np.isfinite(leaf).all() for leaf in gradient.values())


def relabelled(values, order):
    splats = PER_SPLAT | {"lam", "part", "stick"}
    return {name: value[order] if name in splats else value for name, value in values.items()}


@priors
def test_labels_do_not_matter_unless_the_prior_orders_them(prior, x64):
    problem, order = bound(prior), np.array([2, 0, 1, 4, 3])
    values = random_values(problem)
    here, there = float(problem.log_joint(values)), float(problem.log_joint(relabelled(values, order)))
    if isinstance(PRIORS[prior], StickBreaking):
        assert abs(here - there) > 1e-3
    else:
        np.testing.assert_allclose(there, here, rtol=1e-12)


# ---------------------------------------------------------------- data


def dense_log_density(problem, values):
    """Collapsed log density with the missing rows dropped, in dense linear algebra."""
    rows = np.asarray(problem.observed) > 0
    columns = np.asarray(problem.features(problem.geometry(values)))[rows]
    sd, error = np.asarray(problem.spec.likelihood.data_sd(values, problem.noise_features)), problem.error
    size = values["sigma"] if error is None else jnp.exp(jnp.log(jnp.hypot(sd, error)).mean())
    scales = np.asarray(problem.spec.prior.scales(values, problem.context, size))
    scales = np.append(scales, np.full(columns.shape[1] - K, PRIOR_SD))
    sd = np.hypot(sd, 0.0 if error is None else error)[rows]
    covariance = (columns * scales**2) @ columns.T + np.diag(sd**2)
    return stats.multivariate_normal(np.zeros(rows.sum()), covariance).logpdf(np.asarray(problem.y)[rows])


@pytest.mark.parametrize("y", [Y, GAPS], ids=["all observed", "some missing"])
@pytest.mark.parametrize("prior", ["ridge", "horseshoe", "r2d2"])
def test_collapsed_density_equals_the_dense_one_of_the_observed_rows(prior, y, x64):
    problem = bound(prior, "varying normal", y=y)
    values = random_values(problem)
    found = problem.log_rest(values)
    np.testing.assert_allclose(found, dense_log_density(problem, values), rtol=1e-9)
    assert abs(found - dense_log_density(problem, {**values, "sigma": 1.1 * values["sigma"]})) > 1e-3


ERROR = np.linspace(0.0, 2.0, N)


@pytest.mark.parametrize("prior", ["ridge", "horseshoe", "r2d2"])
def test_known_errors_add_to_the_noise_in_quadrature(prior, x64):
    problem = bound(prior, "varying normal", error=ERROR)
    values = random_values(problem)
    found = problem.log_rest(values)
    np.testing.assert_allclose(found, dense_log_density(problem, values), rtol=1e-9)
    assert abs(found - bound(prior, "varying normal").log_rest(values)) > 0.1


@pytest.mark.parametrize("likelihood", ["normal", "student-t"])
def test_scores_of_data_with_known_errors(likelihood, x64):
    """Given f, and left out: against the density and distribution function of noise plus error, by quadrature."""
    problem = bound(likelihood=likelihood, error=ERROR)
    values, f = random_values(problem), jnp.linspace(-1.0, 1.0, N)
    given, (left_out, below) = problem.log_density(values, f), problem.leave_one_out(values)
    mean, var = collapsed.leave_one_out(problem.factor(values))
    sd = np.asarray(problem.noise_sd(values))
    for i in (0, N // 2, N - 1):
        expected = noise_plus_error(problem.spec.likelihood, sd[i], ERROR[i])
        np.testing.assert_allclose(given[i], np.log(expected(Y[i] - f[i], 0.0)[0]), atol=1e-6)
        density, share = expected(Y[i] - float(mean[i]), float(var[i]))
        np.testing.assert_allclose(left_out[i], np.log(density), atol=1e-6)
        np.testing.assert_allclose(below[i], share, atol=1e-6)
    forgotten = problem.spec.likelihood.log_density(problem.y, f, jnp.asarray(sd))
    assert np.abs(given - forgotten)[1:].min() > 1e-3


def noise_plus_error(likelihood, sd, error):
    """Density and distribution function at r, of N(0, var + error^2) plus the noise."""
    if not isinstance(likelihood, StudentT):
        return lambda r, var: tuple(
            float(law(r, 0.0, np.sqrt(var + error**2 + sd**2))) for law in (stats.norm.pdf, stats.norm.cdf)
        )
    mixing = stats.gamma(likelihood.df / 2, scale=2 / likelihood.df)

    def over_mixing(law, r, var):
        return quad(
            lambda log_w: (
                law(r, 0.0, np.sqrt(var + error**2 + sd**2 / np.exp(log_w))) * mixing.pdf(np.exp(log_w)) * np.exp(log_w)
            ),
            -25.0,
            4.0,
            limit=200,
            epsabs=1e-11,
        )[0]

    return lambda r, var: (over_mixing(stats.norm.pdf, r, var), over_mixing(stats.norm.cdf, r, var))


def test_replicates_scatter_by_noise_and_known_errors(x64):
    problem = bound(error=ERROR)
    values, f = random_values(problem), jnp.zeros(N)
    drawn = jax.vmap(lambda key: problem.replicate(values, f, key))(jax.random.split(jax.random.key(0), 4000))
    expected = np.hypot(problem.noise_sd(values), ERROR)
    p = [stats.chi2(4000).cdf(np.sum((column / sd) ** 2)) for column, sd in zip(drawn.T, expected, strict=True)]
    assert min(p) > P_VALUE
    assert max(p) < 1 - P_VALUE
    assert stats.chi2(4000).sf(np.sum((drawn[:, -1] / problem.noise_sd(values)[-1]) ** 2)) < P_VALUE


def test_missing_outputs_are_counted_and_zero(x64):
    problem = bound(y=GAPS)
    np.testing.assert_array_equal(problem.observed, ~np.isnan(GAPS))
    np.testing.assert_array_equal(problem.y, np.nan_to_num(GAPS))
    assert problem.context.n == np.sum(~np.isnan(GAPS)) < N


def standardised(x, y):
    scaling = fit_scaling(x, y)
    return bound(likelihood="varying normal", x=scaling.to_box(x), y=scaling.to_standard(y))


def test_rescaled_data_give_the_same_problem(x64):
    here, there = standardised(X, GAPS), standardised(X * [3.0, 1e-4] + [50.0, -7.0], -40 * GAPS + 1e3)
    flipped = there.y * -1
    np.testing.assert_allclose(flipped, here.y, atol=1e-9)
    for name in ("x", "observed", "noise_features", "overlap", "n_observed", "spacing", "grid"):
        np.testing.assert_allclose(getattr(there, name), getattr(here, name), rtol=1e-6, atol=1e-9, err_msg=name)
    assert here.spec == there.spec
    assert not np.allclose(bound(likelihood="varying normal", x=3 * X).overlap, here.overlap, rtol=1e-3)


# ---------------------------------------------------------------- what the priors know of the data


def prior_heights(x, draws, stretch=1.0):
    """Squared heights (draws, n) of splats from the default prior with axes along the inputs, by NumPy alone."""
    rng, grid = np.random.default_rng(5), len(x) ** -0.5
    location = np.log(stretch * np.sqrt(grid)) + 0.7 * rng.normal(size=(draws, 2))
    spread = 0.6 * np.exp(0.4 * rng.normal(size=(draws, 1)))
    excess = np.exp(location + spread * rng.standard_t(4, size=(draws, 2)))
    length = excess + np.asarray(model.data_box(x, 0.25).floor)
    z = (x[None] - rng.uniform(-0.1, 1.1, size=(draws, 1, 2))) / length[:, None]
    return np.exp(-np.sum(z**2, -1))


def test_overlap_is_the_mean_square_height_of_a_prior_splat(real_overlap, monkeypatch, x64):
    monkeypatch.setattr(model, "_overlap", real_overlap)
    overlap = float(bound(covariance="diag").overlap)
    square = prior_heights(X, 20_000)
    by_draw, by_row = square.mean(1), square.mean(0)
    error = np.hypot(by_draw.std() / np.sqrt(model.OVERLAP_DRAWS), by_row.std() / np.sqrt(model.OVERLAP_ROWS))
    assert error < 0.1 * overlap
    assert mean_p_value(by_draw, overlap, error) > P_VALUE
    assert mean_p_value(prior_heights(X, 20_000, 1.5).mean(1), overlap, error) < P_VALUE


def test_overlap_is_the_mean_over_all_mothers(monkeypatch, x64):
    monkeypatch.setattr(model, "_overlap", lambda spec, *_: jnp.asarray(1.0 if spec.mother == Gaussian() else 3.0))
    assert bound(mother=Mixed((Gaussian(), Box(8)))).overlap == 2.0


def test_overlap_is_compiled_once_for_all_priors_on_one_kind_of_lengths(monkeypatch, x64):
    asked = []
    monkeypatch.setattr(model, "_overlap", lambda spec, *arrays: asked.append(spec) or jnp.ones(()))
    for prior in PRIORS:
        for likelihood in LIKELIHOODS:
            bound(prior, likelihood)
    assert len(asked) == len(PRIORS) * len(LIKELIHOODS)
    assert len(set(asked)) == 2  # Lengths and FreeLengths: what is static in the compiled function


GRID = np.linspace(0, 1, 11)[:, None]
BOXES = {
    "regular": (np.linspace(0, 1, 11)[:, None], 0.1, 1 / 11),
    "repeated": (np.repeat(np.linspace(0, 1, 11), 3)[:, None], 0.1, 1 / 11),
    "square grid": (np.stack(np.meshgrid(*[np.linspace(0, 1, 5)] * 2), -1).reshape(-1, 2), 0.25 / np.sqrt(2), 0.2),
    "one datum": (np.zeros((1, 3)), 2 ** (-1 / 3), 2 ** (-1 / 3)),
    "one place": (np.ones((4, 1)), 0.5, 0.5),
    "a constant column": (np.column_stack([np.linspace(0, 1, 11), np.zeros(11)]), 0.1, 1 / 11),
    "twins up to rounding": (np.concatenate([GRID, np.nextafter(GRID, 2.0)]), 0.1, 1 / 11),
    "constant up to rounding": (np.column_stack([GRID, np.arange(11) % 2 * 1e-7]), 0.1, 1 / 11),
}


@pytest.mark.parametrize("name", BOXES)
def test_spacing_of_distinct_inputs(name):
    x, spacing, grid = BOXES[name]
    box = model.data_box(x, 0.25)
    assert box.d == x.shape[1]
    np.testing.assert_allclose((box.spacing, box.grid), (spacing, grid), rtol=1e-12)


# ---------------------------------------------------------------- trend and specification


COLUMNS = {"none": 0, "constant": 1, "linear": 3}


@pytest.mark.parametrize("kind", TRENDS)
def test_trend_columns(kind, x64):
    columns = np.asarray(trend_features(kind, X))
    np.testing.assert_array_equal(columns, np.column_stack([np.ones(N), X - 0.5])[:, : COLUMNS[kind]])


def test_without_data_the_likelihood_is_flat(x64):
    problem = bound("horseshoe", "varying student-t").without_data()
    assert float(problem.log_rest(random_values(problem))) == 0.0
    assert problem.context.n == N  # what the prior knows of the data stays


REFUSED = [
    ({"n_splats": 0}, "Expected `n_splats` to be an integer of at least 1, got 0"),
    ({"prior": RegularizedHorseshoe(n_active=20.0)}, "Expected `n_active` below the number of splats (20), got 20"),
    ({"prior": Repulsive(RegularizedHorseshoe(n_active=30.0))}, "Expected `n_active` below"),
    ({"covariance": "tied"}, "Expected `covariance` to be one of 'spherical', 'diag', 'full', got 'tied'"),
    ({"trend": "cubic"}, "Expected `trend` to be one of 'none', 'constant', 'linear', got 'cubic'"),
]


@pytest.mark.parametrize(("change", "words"), REFUSED)
def test_specifications_are_checked(change, words):
    with pytest.raises(BayesplatError) as refusal:
        replace(model.Specification(), **change)
    assert words in str(refusal.value)


def test_specifications_are_hashable_and_print_in_full():
    spec = model.Specification(7, Ridge(0.5), Normal(), Gaussian(), centres=Centres(0.2))
    assert spec == replace(spec)
    assert hash(spec) != hash(replace(spec, trend="none"))
    assert str(spec).startswith("Specification with 7 splats\n")
    for words in ("Ridge(scale=0.5)", "Normal(noise='constant'", "Gaussian()", "'full'", "margin=0.2"):
        assert words in str(spec)


def test_correlations_beyond_floats_are_refused_by_their_dial(monkeypatch, x64):
    monkeypatch.setattr(model, "_overlap", lambda *_: jnp.asarray(jnp.nan))
    with pytest.raises(BayesplatError, match="raise `lkj`"):
        bound(lengths=Lengths(lkj=0.004), covariance="full")
