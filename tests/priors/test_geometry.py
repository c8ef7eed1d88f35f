import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from statistical import P_VALUE, law_p_value, share_p_value

from bayesplat._checks import BayesplatError
from bayesplat.priors import Box, Centres, FreeLengths, Lengths, shear_sites
from bayesplat.priors.geometry import Deviation, Shear
from bayesplat.priors.sites import vector
from bayesplat.scales import Diag, Full

BOX = Box(3, 0.06, 0.1, 0.25)
FLOOR = 0.25 * 0.06
ALPHAS = np.array([0.5, 1.0, 4.0])
GRID, STEP = np.linspace(-40, 40, 8001, retstep=True)


@pytest.fixture(scope="module")
def shear():
    """Densities (g, 3) of shears on the grid and 4000 draws (4000, 3)."""
    with jax.enable_x64(True):
        prior = Shear(jnp.asarray(ALPHAS))
        density = jnp.exp(prior.log_prob(jnp.asarray(GRID)[:, None]))
        return np.asarray(density), np.asarray(prior.sample(jax.random.key(0), (4000,)))


def test_shear_densities_are_normalised(shear):
    np.testing.assert_allclose(STEP * shear[0].sum(0), 1.0, rtol=1e-9)


@pytest.mark.parametrize("i", range(3))
def test_shears_are_drawn_from_their_density(shear, i):
    cdf = STEP * np.cumsum(shear[0], 0)
    assert law_p_value(shear[1][:, i], lambda w: np.interp(w, GRID, cdf[:, i])) > P_VALUE
    assert law_p_value(shear[1][:, i], lambda w: np.interp(w, GRID, cdf[:, i - 1])) < P_VALUE


def test_partial_correlations_are_beta(shear):
    share = 0.5 * (1 + np.tanh(shear[1][:, 2]))
    assert law_p_value(share, stats.beta(4.0, 4.0).cdf) > P_VALUE
    assert law_p_value(share, stats.beta(3.0, 3.0).cdf) < P_VALUE


def test_shears_keep_density_and_gradient_far_out(x64):
    far = np.array([-400.0, 0.0, 400.0])
    prior = Shear(np.ones(()))
    log_density, gradient = jax.jit(jax.vmap(jax.value_and_grad(prior.log_prob)))(far)
    np.testing.assert_allclose(np.asarray(log_density)[[0, 2]], np.log(2.0) - 800.0, rtol=1e-12)
    np.testing.assert_allclose(gradient, [2.0, 0.0, -2.0], rtol=1e-12)


def test_shear_sites_are_the_lkj_prior_of_every_splat(x64):
    w = np.random.default_rng(0).normal(size=(4, 3))
    expected = np.sum(jax.jit(jax.vmap(lambda row: Full().log_lkj(row, 3, 1.7)))(w))
    found, other = jax.jit(lambda w: [shear_sites(4, Full(), 3, lkj)["shear"].log_prob(w) for lkj in (1.7, 2.0)])(w)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert abs(other - expected) > 0.1
    assert shear_sites(4, Diag(), 3, 1.0) == shear_sites(4, Full(), 1, 1.0) == {}


@pytest.mark.parametrize("df", [1.5, 4.0, 30.0])
def test_deviations_are_student_t(df, x64):
    found = np.asarray(vector(Deviation(df), 4).sample(jax.random.key(0), (2000,)))
    assert found.shape == (2000, 4)
    assert law_p_value(found, stats.t(df).cdf) > P_VALUE
    assert law_p_value(1.3 * found, stats.t(df).cdf) < P_VALUE


@pytest.mark.parametrize(("spacing", "grid", "floor"), [(0.06, 0.1, 0.015), (0.3, 0.1, 0.025)])
def test_no_length_falls_below_the_floor(spacing, grid, floor, x64):
    box = Box(2, spacing, grid, 0.25)
    lengths = np.exp(box.log_lengths(np.array([[-1e6, -5.0, 0.0]])))
    np.testing.assert_allclose(box.floor, floor)
    np.testing.assert_allclose(lengths, [[floor, floor + np.exp(-5.0), floor + 1.0]], rtol=1e-12)


def test_half_of_the_lengths_exceed_the_median(x64):
    """Sites drawn by SciPy; tests/priors/test_sites.py holds their densities equal."""
    rng, size = np.random.default_rng(0), (3000, 1, 1)
    location = stats.norm(np.log(np.sqrt(0.1)), 0.7).rvs((3000, 1), rng)
    spread, deviation = stats.lognorm(0.4, scale=0.6).rvs(size, rng), stats.t(4).rvs(size, rng)
    values = {"location": location, "spread": spread[:, 0, 0], "deviation": deviation}
    beyond = np.exp(jax.vmap(Lengths().excess)(values))
    assert share_p_value(beyond > Lengths().median(BOX), 0.5) > P_VALUE
    assert share_p_value(beyond > 1.2 * Lengths().median(BOX), 0.5) < P_VALUE
    assert Lengths(typical=0.25).median(BOX) == 0.25


def test_starts_give_the_lengths_they_are_asked_for(x64):
    rng = np.random.default_rng(0)
    excess, location = np.log(0.2) + 2 * rng.normal(size=(5, 3)), np.log([0.1, 0.2, 0.3])
    np.testing.assert_allclose(Lengths().excess(Lengths().start(excess, location, BOX)), excess, rtol=1e-12)
    free = FreeLengths().excess(FreeLengths().start(excess, location, BOX))
    inside = (excess > np.log(FLOOR) * 0.99) & (excess < np.log(FLOOR) * 0.01)
    assert inside.any()
    assert not inside.all()
    np.testing.assert_allclose(free[inside], excess[inside], rtol=1e-12)
    assert ((free > np.log(FLOOR)) & (free < 0)).all()


def test_the_density_of_point_fits_is_that_of_the_sites_with_the_spread_held(x64):
    """Up to a constant: the lengths of each splat are 0 at their mode, so that a splat without mass costs nothing."""
    rng, lengths = np.random.default_rng(0), Lengths(spread=0.5)
    excess, location = rng.normal(size=(5, 3)) - 2, rng.normal(size=3) - 2
    per_splat, shared = lengths.log_density(excess, location, BOX)
    values, table = lengths.start(excess, location, BOX), lengths.sites(5, Full(), BOX)
    mode = table["deviation"].log_prob(np.zeros((5, 3)))
    assert per_splat.shape == (5,)
    np.testing.assert_allclose(per_splat.sum(), table["deviation"].log_prob(values["deviation"]) - mode, rtol=1e-12)
    np.testing.assert_allclose(shared, table["location"].log_prob(location), rtol=1e-12)
    np.testing.assert_array_equal(lengths.log_density(location[None], location, BOX)[0], 0.0)


def test_precisions_are_inverse_variances_of_the_priors(x64):
    """Of uniform log lengths and of uniform centres; of log lengths, that of a normal as high as their Student-t."""
    rng, lengths = np.random.default_rng(0), Lengths(spread=0.5)
    height = stats.t(lengths.tails, scale=0.5).pdf(0)
    np.testing.assert_allclose(lengths.precision(BOX) ** 0.5, (2 * np.pi) ** 0.5 * height, rtol=0.07)
    uniform = rng.uniform(np.log(FLOOR), 0.0, 200_000)
    np.testing.assert_allclose(FreeLengths().precision(BOX), 1 / uniform.var(), rtol=0.01)
    for margin in (0.0, 0.1, 0.5):
        centres = rng.uniform(-margin, 1 + margin, 200_000)
        np.testing.assert_allclose(Centres(margin).precision, 1 / centres.var(), rtol=0.01)


def test_free_lengths_are_flat_inside_and_walled_outside(x64):
    excess = np.array([[np.log(FLOOR) + 0.1], [-0.1], [0.1], [np.log(FLOOR) - 0.2]])
    per_splat, _ = FreeLengths().log_density(excess, np.zeros(1), BOX)
    np.testing.assert_allclose(per_splat, [0.0, 0.0, -2.0, -8.0], rtol=1e-9)


def test_centres_are_flat_inside_and_walled_outside(x64):
    b = np.array([[-0.09, 1.09], [0.5, 0.5], [1.2, 0.5], [-0.2, 1.2]])
    centres = Centres(margin=0.1)
    np.testing.assert_allclose(centres.log_density(b), [0.0, 0.0, -20.0, -40.0], rtol=1e-9)
    start, support = centres.start(10 * b)["centre"], centres.sites(4, Box(2, 0.1, 0.1, 0.25))["centre"].support
    assert support(start)
    assert not support(10 * b)
    np.testing.assert_allclose(centres.start(b)["centre"][1], 0.5)


REFUSED = [
    (lambda: Lengths(typical=0.0), "Expected `typical`"),
    (lambda: Lengths(uncertainty=-1.0), "Expected `uncertainty`"),
    (lambda: Lengths(spread=0.0), "Expected `spread`"),
    (lambda: Lengths(tails=np.nan), "Expected `tails`"),
    (lambda: Lengths(lkj=0.0), "Expected `lkj`"),
    (lambda: Centres(margin=-0.1), "Expected `margin` between 0 and 10, got -0.1"),
    (lambda: Centres(margin=np.nan), "Expected `margin` between 0 and 10, got nan"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED)
def test_numbers_are_checked(make, words):
    with pytest.raises(BayesplatError) as refusal:
        make()
    assert words in str(refusal.value)


@pytest.mark.parametrize("family", [Diag(), Full()], ids=["diag", "full"])
def test_lengths_of_any_excess_give_scales_that_are_numbers(family, x64):
    """With few `tails` a deviation may be of any size, and the exponential of a length overflows."""
    excess = jnp.array([[800.0, -2.0, -900.0], [-2.0, 800.0, 1e4]])
    shears = jnp.zeros((2, family.n_shears(3))) + 0.3
    A, log_det = jax.vmap(lambda lengths, shear: family.constrain(lengths, shear, 3))(BOX.log_lengths(excess), shears)
    assert np.isfinite(A).all()
    assert np.isfinite(log_det).all()
    assert np.min(np.asarray(A)[0, 0, 0]) > 1e8  # constant over the box
    np.testing.assert_allclose(np.exp(BOX.log_lengths(jnp.array([[3.0]]))), FLOOR + np.exp(3.0), rtol=1e-12)
