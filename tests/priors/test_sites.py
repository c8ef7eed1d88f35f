"""Every table of sites: support, density, change of coordinates and its Jacobian, in one compiled pass."""

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from numpyro import distributions as dist
from scipy import stats
from tables import BASE_PRIORS, LIKELIHOODS, SCIPY_SITES

from bayesplat.priors import Box, Centres, FreeLengths, Lengths, shear_sites
from bayesplat.priors.sites import constrain, draw, log_density, supported, unconstrain, vector
from bayesplat.scales import Full

BOX = Box(3, 0.06, 0.1, 0.25)
FLOOR = 0.25 * 0.06

GEOMETRY = {
    "lengths": lambda k: Lengths().sites(k, Full(), BOX),
    "free lengths": lambda k: FreeLengths().sites(k, Full(), BOX),
    "centres": lambda k: Centres().sites(k, BOX),
    "shears": lambda k: shear_sites(k, Full(), 3, 1.5),
}
GEOMETRY_LAWS = {
    "lengths": {
        "location": stats.norm(np.log(0.1) / 2, 0.7),
        "spread": stats.lognorm(0.4, scale=0.6),
        "deviation": stats.t(4),
    },
    "free lengths": {"excess": stats.uniform(np.log(FLOOR), -np.log(FLOOR))},
    "centres": {"centre": stats.uniform(-0.1 - 1e-6, 1.2 + 2e-6)},
}
TABLES = {
    **{name: prior.sites for name, prior in BASE_PRIORS.items()},
    **{name: lambda k, one=one: one.sites(4, 3 if one.noise == "varying" else 0) for name, one in LIKELIHOODS.items()},
    **GEOMETRY,
}
LAWS = {**SCIPY_SITES, **GEOMETRY_LAWS}

tables = pytest.mark.parametrize("name", TABLES)


def scipy_values(table, laws, rng):
    """Draws of every site by SciPy; of the shears, which it does not know, by NumPy."""
    return {site: np.asarray(laws.get(site, stats.norm()).rvs(prior.shape(), rng)) for site, prior in table.items()}


@pytest.fixture(scope="module")
def passed():
    """What one compiled pass over all tables returns, by table."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        built = {name: table(5) for name, table in TABLES.items()}
        values = {name: scipy_values(table, LAWS.get(name, {}), rng) for name, table in built.items()}
        one_pass = jax.jit(lambda values: {name: look(table, values[name]) for name, table in built.items()})
        return built, values, jax.tree.map(np.asarray, one_pass(values))


def look(table, values):
    position = unconstrain(table, values)
    flat, unravel = ravel_pytree(position)
    back, log_jacobian = constrain(table, position)
    jacobian = jax.jacfwd(lambda flat: ravel_pytree(constrain(table, unravel(flat))[0])[0])(flat)
    return {
        "back": back,
        "flat": flat,
        "log_jacobian": log_jacobian,
        "jacobian": jacobian,
        "log_density": log_density(table, values),
        "inside": {site: table[site].support(values[site]) for site in table},
    }


@tables
def test_constrain_inverts_unconstrain(passed, name):
    built, values, seen = passed
    assert np.isfinite(seen[name]["flat"]).all()
    assert set(seen[name]["back"]) == set(built[name])
    for site, value in seen[name]["back"].items():
        np.testing.assert_allclose(value, values[name][site], rtol=1e-9)


@tables
def test_log_jacobian_equals_autodiff(passed, name):
    seen = passed[-1][name]
    sign, expected = np.linalg.slogdet(seen["jacobian"])
    assert sign == 1
    np.testing.assert_allclose(seen["log_jacobian"], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", LAWS)
def test_densities_equal_scipy(passed, name):
    built, values, seen = passed
    expected = sum(LAWS[name][site].logpdf(values[name][site]).sum() for site in built[name])
    np.testing.assert_allclose(seen[name]["log_density"], expected, rtol=1e-10)


@tables
def test_values_lie_in_the_support_with_finite_density(passed, name):
    seen = passed[-1][name]
    assert all(np.all(inside) for inside in seen["inside"].values())
    assert np.isfinite(seen["log_density"])


@pytest.mark.parametrize(
    ("name", "site", "outside"),
    [("ridge", "tau", -0.1), ("r2d2", "r2", 1.1), ("centres", "centre", 1.2), ("free lengths", "excess", 0.1)],
)
def test_values_outside_are_told_apart(name, site, outside, x64):
    prior = TABLES[name](5)[site]
    assert not np.all(prior.support(np.full(prior.shape(), outside)))


def test_draws_have_the_shapes_of_the_table_and_a_key_each(x64):
    table = {**Centres().sites(5, BOX), "other": Centres().sites(5, BOX)["centre"]}
    first, second = draw(table, jax.random.key(0)), draw(table, jax.random.key(1))
    assert {site: value.shape for site, value in first.items()} == {"centre": (5, 3), "other": (5, 3)}
    assert not np.any(first["centre"] == first["other"])
    assert not np.any(first["centre"] == second["centre"])
    assert draw({}, jax.random.key(0)) == {}


def test_draws_that_underflow_stay_in_the_support(x64):
    table = {"part": vector(dist.Gamma(1e-3, 1.0), 200), "normal": vector(dist.Normal(0.0, 1.0), 200)}
    assert (jax.jit(lambda key: table["part"].sample(key))(jax.random.key(0)) == 0).any()
    values = draw(table, jax.random.key(0))
    assert supported(table, values)
    assert all(np.isfinite(leaf).all() for leaf in unconstrain(table, values).values())
