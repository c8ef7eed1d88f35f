"""Slides of edges leave their target as it is, and planted faults do not."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from posterior.moves import drift_p_value, sites_of, weigh
from posterior.problems import SQUARE, problem_of, thinned
from scipy import special
from statistical import P_VALUE, mean_p_value

from bayesplat.mothers import Box, Gaussian, Mixed
from bayesplat.posterior import slide
from bayesplat.priors import FreeLengths, Lengths, RegularizedHorseshoe, Repulsive, Ridge
from bayesplat.priors.sites import draw, log_density

K, POOL, DRAWS = 3, 6, 8000
BOTH = Mixed((Gaussian(), Box(16)))


def problem_with(lengths=Lengths(), mother=BOTH, prior=RegularizedHorseshoe(n_active=1.0)):  # noqa: B008 - frozen
    with jax.enable_x64(True):
        return problem_of(prior, k=K, mother=mother, lengths=lengths)


def edges(problem, values):
    """Left and right edge of every splat (k,)."""
    splats = problem.geometry(values)
    reach = jnp.array([one.radius(1) for one in problem.spec.mother.turns(K)])
    return splats.b[:, 0] - reach * splats.A[:, 0, 0], splats.b[:, 0] + reach * splats.A[:, 0, 0]


def slid(problem, draws=DRAWS):
    """Statistics of prior draws and their log likelihood, before and after slides."""

    def one(problem, key):
        first, second = jax.random.split(key)
        values = draw(problem.sites(), first)
        after = slide.slide(problem, values, second, POOL)
        return sites_of(values), sites_of(after), problem.log_rest(values), problem.log_rest(after)

    with jax.enable_x64(True):
        # compiled anew, since a test may change what is called
        compiled = eqx.filter_jit(lambda problem, keys: jax.vmap(lambda key: one(problem, key))(keys))
        return jax.tree.map(np.asarray, compiled(problem, jax.random.split(jax.random.key(0), draws)))


FAULTS = {
    "lengths are counted as their logarithms": (
        "_log_prior",
        lambda right: lambda problem, many: right(problem, many) + problem.lengths.excess(many | _shared())[:, 0],
    ),
    "candidates lie around the edge itself": (
        "_shifts",
        lambda right: lambda problem, key, pool: jnp.abs(right(problem, key, pool)),
    ),
}


def _shared():
    """Shared sites that turn deviations into themselves: an excess up to what all candidates have in common."""
    return {"location": jnp.zeros(1), "spread": jnp.ones(())}


@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_slides_keep_the_prior_where_there_are_no_data(fault, monkeypatch):
    if fault:
        name, wrong = FAULTS[fault]
        monkeypatch.setattr(slide, name, wrong(getattr(slide, name)))
    before, after, *_ = slid(problem_with().without_data())
    p = drift_p_value(after - before)
    assert (p < P_VALUE) if fault else (p > P_VALUE)


def test_slides_keep_bounds_that_have_density_inside_only():
    before, after, *_ = slid(problem_with(FreeLengths()).without_data())
    assert drift_p_value(after - before) > P_VALUE


def test_slides_keep_the_posterior():
    """Prior draws weighted by the likelihood stand for the posterior, and still do after a move that keeps it."""
    before, after, was, now = slid(thinned(problem_with(mother=Box(16), prior=Ridge()), [3, 6, 9, 12]))
    weights, rise = special.softmax(was), np.tanh(now - was.mean()) - np.tanh(was - was.mean())
    assert 1 / np.sum(weights**2) > 500
    assert drift_p_value(weights[:, None] * np.column_stack([after - before, rise])) > P_VALUE
    assert mean_p_value(rise, 0.0) < P_VALUE  # the prior is another distribution, and moves away from itself


@pytest.mark.parametrize("prior", [RegularizedHorseshoe(n_active=1.0), Repulsive(RegularizedHorseshoe(n_active=1.0))])
def test_pool_weights_are_the_log_joint_along_the_line_of_edges(prior, x64):
    problem, slot = problem_with(prior=prior), jnp.asarray(1)

    @jax.jit
    def look(first, second):
        values = draw(problem.sites(), first)
        some = slide._candidates(problem, values, slot, second, POOL)
        weights, placed = weigh(problem, values, slot, some)
        joint = jax.vmap(lambda one: log_density(problem.sites(), one) + problem.log_rest(one))(placed)
        # d deviation / d length, up to what the pool shares
        return (
            weights,
            joint - problem.lengths.excess({**values, **some.sites})[:, 0],
            jax.vmap(lambda one: jnp.stack(edges(problem, one))[:, slot])(placed),
        )

    found, expected, ends = look(jax.random.key(1), jax.random.key(2))
    seen = np.isfinite(found)
    assert seen[0]
    assert seen.sum() > 2
    np.testing.assert_allclose((found - found[0])[seen], (expected - expected[0])[seen], rtol=1e-8, atol=1e-8)
    # one edge stays where it is, for all candidates the same one
    held = np.ptp(ends[seen], axis=0)
    assert held.min() < 1e-12 < held.max()


def test_only_sharp_splats_slide(x64):
    problem = problem_with()
    values = draw(problem.sites(), jax.random.key(3))
    after = jax.jit(lambda values, key: slide.slide(problem, values, key, 32))(values, jax.random.key(4))
    moved = np.flatnonzero(np.any(np.asarray(values["centre"] != after["centre"]), 1))
    np.testing.assert_array_equal(moved, [1])  # the one box of three
    for name in values.keys() - {"centre", "deviation"}:
        np.testing.assert_array_equal(values[name], after[name])


def test_smooth_splats_are_left_alone():
    values = {"centre": jnp.zeros((K, 1))}
    assert slide.slide(problem_with(mother=Gaussian()), values, jax.random.key(0), 4) is values


@pytest.mark.parametrize("covariance", ["spherical", "diag", "full"])
def test_slides_of_two_inputs_keep_the_prior(covariance):
    with jax.enable_x64(True):
        problem = problem_of(RegularizedHorseshoe(n_active=1.0), k=2, x=SQUARE, mother=BOTH, covariance=covariance)
    assert problem.d == 2
    before, after, *_ = slid(problem.without_data(), 4000)
    assert np.any(after != before)
    assert drift_p_value(after - before) > P_VALUE
