"""Splats inside a program of one's own: the density is the model's, offsets count, and f is a pytree like any other."""

import equinox as eqx
import jax
import jax.numpy as jnp
import made_up
import numpy as np
import numpyro
import pytest
from numpyro.infer.util import log_density
from statistical import P_VALUE, mean_p_value

import bayesplat as bs
from bayesplat import collapsed
from bayesplat.model import with_trend
from bayesplat.priors.sites import draw

X, Y = made_up.bump()
MODEL = bs.SplatModel(3, prior=bs.Ridge(), trend="linear")


@pytest.fixture
def term():
    return MODEL.numpyro(X, Y)


def test_the_density_is_the_models_and_an_offset_is_taken_from_y(term, x64):
    values = draw(term.problem.sites(), jax.random.key(0))
    found = log_density(term, (), {}, values)[0]
    np.testing.assert_allclose(found, term.problem.log_joint(values), rtol=1e-12)
    lower = term.problem.y - 2.0 / term.scaling.sd
    expected = eqx.tree_at(lambda problem: problem.y, term.problem, lower).log_joint(values)
    np.testing.assert_allclose(log_density(term, (2.0,), {}, values)[0], expected, rtol=1e-12)
    assert abs(expected - found) > 0.1


def test_offsets_of_missing_data_have_no_say(x64):
    y, offset = Y.copy(), np.linspace(0.0, 5.0, len(Y))
    y[::4] = np.nan
    term, seen = MODEL.numpyro(X, y), ~np.isnan(y)
    alone = MODEL.numpyro(X[seen], y[seen])
    values = draw(term.problem.sites(), jax.random.key(0))
    expected = log_density(alone, (offset[seen],), {}, values)[0]
    np.testing.assert_allclose(log_density(term, (offset,), {}, values)[0], expected, rtol=1e-12)
    with pytest.raises(bs.BayesplatError, match=r"shape \(40,\), got \(30,\)"):
        log_density(term, (offset[seen],), {}, values)


def test_with_a_key_f_is_drawn_at_the_data(term, x64):
    trace = numpyro.handlers.trace(numpyro.handlers.seed(term, 0)).get_trace()
    assert trace["f"]["value"].shape == (len(X),)
    assert set(term.problem.sites()) < set(trace)


def moment_p_values(f, mean, variance):
    """P-values of draws (s, n) against the mean and the variance of a normal distribution at every datum."""
    return mean_p_value(f, mean), mean_p_value((np.asarray(f) - mean) ** 2, variance)


def drawn(program, values, keys=1000):
    """Draws (s, n) of the site "f" of a program at these values of its other sites."""
    fixed = numpyro.handlers.substitute(program, values)

    def one(key):
        return numpyro.handlers.trace(numpyro.handlers.seed(fixed, key)).get_trace()["f"]["value"]

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(1), keys)))


def test_draws_of_f_with_a_key_have_the_posterior_moments_given_the_sites(term, x64):
    values = draw(term.problem.sites(), jax.random.key(0))
    system, columns = term.problem.factor(values), term.problem.features(term.problem.geometry(values))
    half = np.linalg.solve(system.chol, (columns * system.scales).T)  # the covariance of the coefficients is S M^-1 S
    sd = term.scaling.sd
    mean = term.scaling.mean + sd * columns @ collapsed.mean_coefficients(system)
    variance = sd**2 * np.sum(half**2, 0)
    found = drawn(term, values)
    assert min(moment_p_values(found, mean, variance)) > P_VALUE
    assert moment_p_values(found + 0.3 * np.sqrt(variance), mean, variance)[0] < P_VALUE
    assert moment_p_values(mean + 1.2 * (found - mean), mean, variance)[1] < P_VALUE


def test_draws_of_f_within_mcmc_differ_though_their_key_is_one(term, x64):
    """NumPyro gives every state of a chain the same key: what is left of f beyond the sites must not be the same."""

    def beyond(key):
        values = draw(term.problem.sites(), key)
        fixed = numpyro.handlers.seed(numpyro.handlers.substitute(term, values), 0)
        system, columns = term.problem.factor(values), term.problem.features(term.problem.geometry(values))
        f = (numpyro.handlers.trace(fixed).get_trace()["f"]["value"] - term.scaling.mean) / term.scaling.sd
        half = jax.scipy.linalg.solve_triangular(system.chol, (columns * system.scales).T, lower=True)
        return (f - columns @ collapsed.mean_coefficients(system)) / jnp.sqrt(jnp.sum(half**2, 0))

    found = np.asarray(jax.jit(jax.vmap(beyond))(jax.random.split(jax.random.key(3), 1000)))
    assert min(moment_p_values(found, 0.0, 1.0)) > P_VALUE


def test_a_function_has_the_prior_moments_given_the_sites(term, x64):
    values = draw(term.problem.sites(), jax.random.key(0))

    def program():
        numpyro.deterministic("f", term.function()(jnp.asarray(X[:, None])))

    problem, sd = term.problem, term.scaling.sd
    scales = with_trend(problem.spec.prior.scales(values, problem.context, values["sigma"]), MODEL.n_splats + 2)
    variance = sd**2 * np.sum((problem.features(problem.geometry(values)) * scales) ** 2, 1)
    found = drawn(program, values)
    assert min(moment_p_values(found, term.scaling.mean, variance)) > P_VALUE
    assert moment_p_values(1.2 * found, 1.2 * term.scaling.mean, variance)[1] < P_VALUE


def test_a_function_of_two_inputs_is_that_of_its_sites(x64):
    x = np.random.default_rng(0).uniform((0, 0), (1, 1000), (50, 2))
    term = bs.SplatModel(3, prior=bs.Ridge()).numpyro(x, np.sin(5 * x[:, 0]))
    found = {}

    def program():
        found["f"] = term.function()(jnp.asarray(x))

    trace = numpyro.handlers.trace(numpyro.handlers.seed(program, 0)).get_trace()
    values = {name: site["value"] for name, site in trace.items()}
    columns = term.problem.features(term.problem.geometry(values))
    scales = with_trend(term.problem.scales(values), columns.shape[1])
    expected = term.scaling.mean + term.scaling.sd * columns @ (scales * values["coefficient"])
    np.testing.assert_allclose(found["f"], expected, rtol=1e-8)


def test_a_function_is_a_pytree_under_jit_vmap_and_grad(term, x64):
    with numpyro.handlers.seed(rng_seed=0):
        f = term.function()
    x = jnp.asarray(X[:, None])
    plain = f.scaling.mean + f.trend[0] + f.trend[1] * (f.scaling.to_box(X) - 0.5) + f.measure(x)[:, 0]
    np.testing.assert_allclose(f(x), plain, rtol=1e-12)
    np.testing.assert_allclose(jax.jit(lambda f, x: f(x))(f, x), f(x), rtol=1e-12)
    two = jax.vmap(lambda shift: eqx.tree_at(lambda f: f.trend, f, f.trend + shift))(jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(jax.vmap(lambda f: f(x))(two)[0], f(x), rtol=1e-12)
    each = jax.vmap(lambda at: f(at[None])[0])(x)
    np.testing.assert_allclose(each, f(x), rtol=1e-12)
    slope = jax.grad(lambda at: f(at[None, None])[0])(18.0)
    low, high = f(jnp.array([[18.0 - 1e-5], [18.0 + 1e-5]]))
    np.testing.assert_allclose(slope, (high - low) / 2e-5, rtol=1e-5)


def test_without_outputs_a_term_has_unit_scale_and_cannot_be_observed(x64):
    term = MODEL.numpyro(X)
    assert (term.scaling.mean, term.scaling.sd) == (0.0, 1.0)
    with pytest.raises(bs.BayesplatError, match="a term that knows y"):
        term()


def test_single_precision_is_refused(term):
    with pytest.raises(bs.BayesplatError, match="enable_x64"):
        term()
    with pytest.raises(bs.BayesplatError, match="enable_x64"):
        term.function()
