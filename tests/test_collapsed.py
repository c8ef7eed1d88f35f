"""The collapsed linear-Gaussian system against dense linear algebra, exact rational arithmetic and Monte Carlo."""

from fractions import Fraction
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from statistical import P_VALUE, law_p_value, mean_p_value

from bayesplat import blocks, collapsed, evaluate

RNG = np.random.default_rng(0)
N, R, EXTRA = 9, 4, 3
GAPS = np.arange(N) % 4 > 0


class System(NamedTuple):
    """What `collapsed.factor` takes."""

    features: np.ndarray
    scales: np.ndarray
    y: np.ndarray
    sd: np.ndarray
    observed: np.ndarray


CASES = {
    "ordinary": System(
        RNG.normal(size=(N, R)), RNG.uniform(0.5, 2, R), RNG.normal(size=N), RNG.uniform(0.2, 1, N), np.ones(N)
    ),
    "missing": System(
        RNG.normal(size=(N, R)), RNG.uniform(0.5, 2, R), RNG.normal(size=N), RNG.uniform(0.2, 1, N), GAPS
    ),
    "dead splat": System(
        RNG.normal(size=(N, R)), np.array([1.0, 0.0, 2.0, 10.0]), RNG.normal(size=N), np.full(N, 0.1), np.ones(N)
    ),
}
CASES = {name: case._replace(observed=case.observed.astype(float)) for name, case in CASES.items()}
CANDIDATES, NEW_SCALE, NEW_SCALES = RNG.normal(size=(N, EXTRA)), 1.3, np.array([0.5, 1.3, 2.0])

cases = pytest.mark.parametrize("name", CASES)


def look(system, key):
    c = collapsed.factor(*system)
    return {
        "value": collapsed.log_density(c),
        "gradient": jax.grad(lambda system: collapsed.log_density(collapsed.factor(*system)))(system),
        "mean": collapsed.mean_coefficients(c),
        "variances": collapsed.variances(c),
        "second_moments": collapsed.second_moments(c),
        "left": collapsed.left_over(c),
        "draws": jax.vmap(lambda key: collapsed.draw_coefficients(c, key))(jax.random.split(key, 4000)),
        "loo": collapsed.leave_one_out(c),
        "lost": collapsed.evidence_lost(c),
        "gain": collapsed.evidence_gain(c, CANDIDATES, jnp.asarray(NEW_SCALE)),
        "along": collapsed.along(c, CANDIDATES, NEW_SCALES),
    }


@pytest.fixture(scope="module")
def compiled():
    """The compiled pass over a system; one compilation for the module."""
    with jax.enable_x64(True):
        one_pass = jax.jit(look)
        yield lambda system: jax.tree.map(np.asarray, one_pass(system, jax.random.key(0)))


@pytest.fixture(scope="module")
def seen(compiled):
    return {name: compiled(case) for name, case in CASES.items()}


def log_evidence(system):
    """log N(y; 0, C) over the observed rows, dense."""
    rows = system.observed > 0
    scaled = system.features[rows] * system.scales
    covariance = scaled @ scaled.T + np.diag(system.sd[rows] ** 2)
    return stats.multivariate_normal(np.zeros(rows.sum()), covariance).logpdf(system.y[rows])


def conditional(system):
    """Mean and covariance of the coefficients given the observed rows, dense, by conditioning the joint Gaussian."""
    rows = system.observed > 0
    scaled = system.features[rows] * system.scales
    gain = np.diag(system.scales) @ scaled.T @ np.linalg.inv(scaled @ scaled.T + np.diag(system.sd[rows] ** 2))
    return gain @ system.y[rows], np.diag(system.scales**2) - gain @ system.features[rows] @ np.diag(system.scales**2)


@cases
def test_log_density_equals_the_dense_one(seen, name):
    np.testing.assert_allclose(seen[name]["value"], log_evidence(CASES[name]), rtol=1e-10)
    wrong = CASES[name]._replace(sd=1.001 * CASES[name].sd)
    assert abs(seen[name]["value"] - log_evidence(wrong)) > 1e-6


def test_missing_rows_leave_no_trace(compiled):
    case = CASES["missing"]
    gone = case.observed == 0
    other = case._replace(y=np.where(gone, 7.0, case.y), sd=np.where(gone, 3.0, case.sd))
    here, there = ({**compiled(system), "gradient": None} for system in (case, other))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), here, there)
    assert compiled(case._replace(y=case.y + (gone == 0)))["value"] != here["value"]


@cases
@pytest.mark.parametrize("part", ["features", "scales", "y", "sd"])
def test_gradients_equal_finite_differences(compiled, seen, name, part):
    case = CASES[name]
    direction, step = np.random.default_rng(1).normal(size=getattr(case, part).shape), 1e-5
    ends = (case._replace(**{part: getattr(case, part) + sign * step * direction}) for sign in (1, -1))
    up, down = (compiled(end)["value"] for end in ends)
    found = np.sum(getattr(seen[name]["gradient"], part) * direction)
    np.testing.assert_allclose(found, (up - down) / (2 * step), rtol=1e-6, atol=1e-7)


@cases
def test_coefficients_have_the_conditional_mean_and_law(seen, name):
    mean, covariance = conditional(CASES[name])
    live = CASES[name].scales > 0
    np.testing.assert_allclose(seen[name]["mean"], mean, rtol=1e-8, atol=1e-12)
    away = seen[name]["draws"][:, live] - mean[live]
    precision = np.linalg.inv(covariance[np.ix_(live, live)])
    square = np.einsum("si,ij,sj->s", away, precision, away)
    assert mean_p_value(away, 0.0) > P_VALUE
    assert law_p_value(square, stats.chi2(live.sum()).cdf) > P_VALUE
    assert mean_p_value(away, 0.2 * away.std(0)) < P_VALUE
    assert law_p_value(1.1 * square, stats.chi2(live.sum()).cdf) < P_VALUE


@cases
def test_variances_and_second_moments_are_conditional(seen, name):
    mean, covariance = conditional(CASES[name])
    np.testing.assert_allclose(seen[name]["variances"], np.diag(covariance), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(seen[name]["second_moments"], np.diag(covariance) + mean**2, rtol=1e-6, atol=1e-12)


@cases
def test_what_is_left_over_is_the_whitened_residual(seen, name):
    """(y - E[f | y]) / sd, and by the Woodbury identity sd C^-1 y."""
    case, rows = CASES[name], CASES[name].observed > 0
    mean, _ = conditional(case)
    scaled = case.features[rows] * case.scales
    precision = np.linalg.inv(scaled @ scaled.T + np.diag(case.sd[rows] ** 2))
    left = seen[name]["left"]
    np.testing.assert_allclose(left[rows], ((case.y - case.features @ mean) / case.sd)[rows], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(left[rows], case.sd[rows] * (precision @ case.y[rows]), rtol=1e-8, atol=1e-10)
    np.testing.assert_array_equal(left[~rows], 0.0)


@cases
def test_slopes_and_curvatures_along_candidates_are_dense(seen, name):
    case, rows = CASES[name], CASES[name].observed > 0
    scaled = case.features[rows] * case.scales
    precision = np.linalg.inv(scaled @ scaled.T + np.diag(case.sd[rows] ** 2))
    psi, (slope, curvature) = CANDIDATES[rows] * NEW_SCALES, seen[name]["along"]
    np.testing.assert_allclose(slope, psi.T @ precision @ case.y[rows], rtol=1e-8)
    np.testing.assert_allclose(curvature, np.diag(psi.T @ precision @ psi), rtol=1e-8)


@cases
def test_leave_one_out_equals_refits(seen, name):
    case, (mean, variance) = CASES[name], seen[name]["loo"]
    for i in np.flatnonzero(case.observed):
        rest = case._replace(observed=np.where(np.arange(N) == i, 0.0, case.observed))
        expected, covariance = conditional(rest)
        np.testing.assert_allclose(mean[i], case.features[i] @ expected, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(variance[i], case.features[i] @ covariance @ case.features[i], rtol=1e-7)
    np.testing.assert_array_equal(mean[case.observed == 0], 0.0)
    np.testing.assert_array_equal(variance[case.observed == 0], 0.0)


@cases
def test_evidence_lost_equals_the_loss_of_a_column(seen, name):
    case = CASES[name]
    without = [log_evidence(case._replace(scales=np.where(np.arange(R) == j, 0.0, case.scales))) for j in range(R)]
    expected = log_evidence(case) - np.array(without)
    np.testing.assert_allclose(seen[name]["lost"], expected, rtol=1e-7, atol=1e-9)
    assert np.ptp(expected) > 0.1


@cases
def test_evidence_gain_equals_the_gain_of_a_column(seen, name):
    case, scales = CASES[name], np.append(CASES[name].scales, NEW_SCALE)
    wider = [case._replace(features=np.column_stack([case.features, psi]), scales=scales) for psi in CANDIDATES.T]
    expected = np.array([log_evidence(one) for one in wider]) - log_evidence(case)
    np.testing.assert_allclose(seen[name]["gain"], expected, rtol=1e-7, atol=1e-9)
    assert np.ptp(expected) > 0.1


def test_collapsing_equals_averaging_over_prior_coefficients(compiled):
    three = (np.arange(N) < 3).astype(float)
    case = CASES["ordinary"]._replace(scales=np.full(R, 0.5), sd=np.full(N, 0.6), observed=three)
    a = case.scales * np.random.default_rng(2).normal(size=(400_000, R))
    likelihood = np.exp(stats.norm.logpdf(case.y[:3], a @ case.features[:3].T, case.sd[:3]).sum(1))
    assert mean_p_value(likelihood, np.exp(compiled(case)["value"])) > P_VALUE
    assert mean_p_value(likelihood, np.exp(compiled(case._replace(sd=1.1 * case.sd))["value"])) < P_VALUE


# ---------------------------------------------------------------- nearly noise-free data

TINY = 1e-5  # the floor of the noise


def noise_free(k=R):
    """Wide, nearly collinear bumps, observed almost without noise."""
    rng, x = np.random.default_rng(3), np.linspace(0, 1, N)[:, None]
    features = np.exp(-0.5 * ((x - np.linspace(0.2, 0.8, k)) / 0.4) ** 2)
    y = features @ rng.normal(size=k) + TINY * rng.normal(size=N)
    return System(features, np.ones(k), y, np.full(N, TINY), np.ones(N))


def exact_log_evidence(system):
    """log N(y; 0, C) in rational arithmetic: Gauss elimination of C, whose pivots give the determinant."""
    fractions = np.vectorize(Fraction, otypes=[object])
    F, y, s, sd = (fractions(a) for a in (system.features, system.y, system.scales, system.sd))
    log_det, square = eliminated((F * s**2) @ F.T + np.diag(sd**2), y)
    return -0.5 * (len(y) * np.log(2 * np.pi) + log_det + float(square))


def eliminated(C, y):
    """log det C and y^T C^-1 y by Gauss elimination, exact but for the logarithm."""
    C, y, log_det, square = C.copy(), y.copy(), 0.0, Fraction(0)
    for i in range(len(y)):
        pivot = C[i, i]
        log_det += np.log(float(pivot))
        square += y[i] ** 2 / pivot
        factor = C[i + 1 :, i] / pivot
        y[i + 1 :] -= factor * y[i]
        C[i + 1 :, i + 1 :] -= np.outer(factor, C[i, i + 1 :])
    return log_det, square


def test_the_exact_reference_agrees_where_dense_algebra_is_safe():
    np.testing.assert_allclose(exact_log_evidence(CASES["ordinary"]), log_evidence(CASES["ordinary"]), rtol=1e-12)


def test_tiny_noise_keeps_the_density_to_a_thousandth_of_a_nat(compiled):
    system = noise_free()
    exact, found = exact_log_evidence(system), compiled(system)
    assert abs(found["value"] - exact) < 1e-3
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
    single = collapsed.log_density(collapsed.factor(*(jnp.asarray(part, jnp.float32) for part in system)))
    assert not abs(single - exact) < 1.0  # float32 would be far off or NaN: this is why inference runs in float64


def test_many_data_with_tiny_noise_keep_all_digits_of_a_nat(x64):
    """Against rational arithmetic; |residual|^2 - |half|^2, the difference of two numbers of 1e12, has lost them."""
    n, r = 400, 8
    x = np.linspace(0, 1, n)[:, None]
    features = np.exp(-0.5 * ((x - np.linspace(0.1, 0.9, r)) / 0.15) ** 2)
    y = features @ np.random.default_rng(3).normal(size=r)
    c = collapsed.factor(features, np.ones(r), y, np.full(n, TINY), np.ones(n))
    whitened, residual = (np.vectorize(Fraction, otypes=[object])(part / TINY) for part in (features, y))
    log_det, square = eliminated(whitened.T @ whitened + np.eye(r, dtype=int), whitened.T @ residual)
    exact = -0.5 * (n * np.log(2 * np.pi * TINY**2) + log_det + float(residual @ residual - square))
    differences = np.sum(np.asarray(c.residual) ** 2) - np.sum(np.asarray(c.half) ** 2)
    naive = -0.5 * (n * np.log(2 * np.pi * TINY**2) + log_det + differences)
    assert abs(collapsed.log_density(c) - exact) < 1e-6
    assert abs(naive - exact) > 1e-3


@pytest.mark.parametrize("sd", [0.3, TINY])
@pytest.mark.parametrize("scales", [[1.0, 0.5, 2.0], [1.0, 0.0, 2.0]], ids=["all live", "one dead"])
def test_blocks_of_rows_give_the_density_its_gradient_and_moments(sd, scales, x64):
    n = 50_000
    x = jnp.linspace(0, 1, n)
    weight, y = jnp.where(jnp.arange(n) % 7 == 2, 0.0, 1 / sd), jnp.sin(6 * x) + sd * jnp.cos(1e5 * x)

    def weighted(at):
        return lambda x, weight, y: (jnp.exp(-0.5 * ((x[:, None] - at) / 0.3) ** 2) * weight[:, None], y * weight)

    def in_blocks(at, scales, y):
        value, factor = blocks.log_density(weighted(at), (x, weight, y), scales)
        return value + jnp.sum(collapsed.second_moments(factor)), value

    def at_once(at, scales, y):
        ones = jnp.ones(n)
        c = collapsed.factor(weighted(at)(x, weight, y)[0], scales, y * weight, ones, ones)
        value = collapsed.log_density(c) + collapsed.log_volume(ones, ones)
        return value + jnp.sum(collapsed.second_moments(c)), value

    args = jnp.array([0.1, 0.4, 0.8]), jnp.array(scales), y
    assert n * len(scales) > 2 * evaluate._SUM_ENTRIES  # more than two blocks
    (summed, gradient), (whole, expected) = (
        jax.jit(jax.value_and_grad(one, (0, 1, 2), has_aux=True))(*args) for one in (in_blocks, at_once)
    )
    np.testing.assert_allclose(summed[1], whole[1], rtol=1e-13, atol=1e-6)
    for found, part in zip(gradient, expected, strict=True):
        np.testing.assert_allclose(found, part, rtol=0, atol=1e-8 * np.abs(part).max())


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="no longer floats here than doubles")
def test_many_data_with_tiny_noise_keep_the_gradient_in_the_scales(x64):
    """Against longer floats; (F^T left) m - diag(F^T F S M^-1), as it reads, has lost all but one digit."""
    n, scales = 50_000, np.array([1.0, 0.5, 2.0])
    x = np.linspace(0, 1, n)
    features = np.exp(-0.5 * ((x[:, None] - [0.1, 0.4, 0.8]) / 0.3) ** 2)
    y, sd = np.sin(6 * x), np.full(n, TINY)
    F, s = (features / TINY).astype(np.longdouble), scales.astype(np.longdouble)
    gram, slope = F.T @ F, F.T @ (y / TINY).astype(np.longdouble)
    inverse = inverted(np.eye(3) + s[:, None] * gram * s)
    m = inverse @ (s * slope)
    exact = np.asarray(m**2 / s - np.diagonal(gram @ (s[:, None] * inverse)), float)

    def density(scales):
        return collapsed.log_density(collapsed.factor(features, scales, y, sd, np.ones(n)))

    np.testing.assert_allclose(jax.grad(density)(jnp.asarray(scales)), exact, rtol=1e-6)
    c = collapsed.factor(features, scales, y, sd, np.ones(n))
    precision = np.linalg.inv(c.chol @ c.chol.T) * scales
    left = np.asarray(collapsed.left_over(c)) @ np.asarray(c.weighted.features).T
    naive = left * collapsed.mean_coefficients(c) / scales - np.sum(c.weighted.gram * precision, 1)
    assert (np.abs(naive / exact - 1) > 0.01).any()


def inverted(matrix):
    """The inverse by Gauss-Jordan elimination, which NumPy has for doubles only."""
    r = len(matrix)
    rows = np.concatenate([matrix, np.eye(r, dtype=matrix.dtype)], 1)
    for i in range(r):
        rows[i] /= rows[i, i]
        others = np.arange(r) != i
        rows[others] -= rows[others, i][:, None] * rows[i]
    return rows[:, r:]


def test_tiny_noise_keeps_leave_one_out(compiled):
    system = noise_free()
    mean, variance = compiled(system)["loo"]
    i = N // 2
    rest = system._replace(observed=np.where(np.arange(N) == i, 0.0, 1.0))
    square = [exact_log_evidence(dropped(system, i, y)) for y in (0.0, 1.0, -1.0)]
    precision = -(square[1] + square[2] - 2 * square[0])
    np.testing.assert_allclose(variance[i] + TINY**2, 1 / precision, rtol=1e-4)
    np.testing.assert_allclose(mean[i], (square[1] - square[2]) / (2 * precision), atol=1e-3 * TINY)
    np.testing.assert_allclose(compiled(rest)["value"], exact_log_evidence(kept(rest)), atol=1e-3)


def dropped(system, i, y):
    """The same system with datum i at another y: log p is a parabola in y, with the predictive's mean and variance."""
    return system._replace(y=np.where(np.arange(N) == i, y, system.y))


def kept(system):
    rows = system.observed > 0
    return System(system.features[rows], system.scales, system.y[rows], system.sd[rows], system.observed[rows])


@cases
def test_another_column_in_a_slot_equals_weighing_anew(name, x64):
    system, slot = CASES[name], jnp.asarray(2)
    features, _, *rest = (jnp.asarray(part) for part in system)
    before, new = collapsed.weigh(features, *rest), jnp.asarray(CANDIDATES[:, 0])
    after = collapsed.with_column(before, slot, new)
    expected = collapsed.weigh(features.at[:, 2].set(new), *rest)
    jax.tree.map(lambda found, part: np.testing.assert_allclose(found, part, rtol=1e-12, atol=1e-14), after, expected)
    assert not np.allclose(before.gram[2], after.gram[2])
