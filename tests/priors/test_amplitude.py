"""Amplitude priors: scales, starts and refusals. What the dials mean is in tests/statistical/test_dials.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tables import BASE_PRIORS, PRIORS

from bayesplat._checks import BayesplatError
from bayesplat.priors import (
    R2D2,
    AmplitudePrior,
    Context,
    Flat,
    FreeLengths,
    Lengths,
    RegularizedHorseshoe,
    Repulsive,
    Ridge,
    StickBreaking,
)

K, SIGMA = 5, 0.3
CONTEXT = Context(K, 40, 0.2)
AMPLITUDES = {
    "none": np.zeros(K),
    "ordinary": np.array([1.2, -0.7, 0.3, 0.05, -0.01]),
    "huge": np.array([1e3, -5e2, 1.0, 0.0, 0.0]),
}

names = pytest.mark.parametrize("name", PRIORS)
sizes = pytest.mark.parametrize("size", AMPLITUDES)


@pytest.fixture(scope="module")
def seen():
    """Starts, scales and gradients of all priors from one compiled pass, by prior and amplitudes."""

    def look(prior, amplitude):
        values = prior.start(amplitude, CONTEXT, jnp.asarray(SIGMA))
        table = prior.sites(K)
        return {
            "values": values,
            "inside": {site: table[site].support(values[site]) for site in table},
            "log_density": {site: table[site].log_prob(values[site]) for site in table},
            "scales": prior.scales(values, CONTEXT, jnp.asarray(SIGMA)),
        }

    with jax.enable_x64(True):
        one_pass = jax.jit(
            lambda by_size: {name: {s: look(prior, a) for s, a in by_size.items()} for name, prior in PRIORS.items()}
        )
        return jax.tree.map(np.asarray, one_pass(AMPLITUDES))


@names
@sizes
def test_starts_lie_in_the_support_with_finite_density(seen, name, size):
    case = seen[name][size]
    assert all(np.all(inside) for inside in case["inside"].values())
    assert all(np.isfinite(density) for density in case["log_density"].values())


@names
@sizes
def test_scales_are_positive_and_one_per_splat(seen, name, size):
    scales = seen[name][size]["scales"]
    assert scales.shape == (K,)
    assert np.isfinite(scales).all()
    assert (scales > 0).all()


STARTS = {  # the size of the start's scales that the point fit asks for
    "ridge": lambda a: np.full(K, np.sqrt(np.mean(a**2))),
    "horseshoe": lambda a: np.abs(a) / np.sqrt(1 + (a / 2.0) ** 2),
    "r2d2": np.abs,
    "stick-breaking": np.abs,
}


@pytest.mark.parametrize("name", STARTS)
def test_starts_put_the_scales_at_the_amplitudes(seen, name):
    amplitude = AMPLITUDES["ordinary"]
    large = np.abs(amplitude) > 0.1  # below, starts are held away from zero
    expected = STARTS[name](amplitude)
    np.testing.assert_allclose(seen[name]["ordinary"]["scales"][large], expected[large], rtol=0.15)


def test_a_stick_breaking_start_knows_its_scale(x64):
    prior, amplitude, sigma = StickBreaking(scale=4.0), jnp.array([4.0, 2.0, 1.0]), jnp.asarray(SIGMA)
    context = CONTEXT._replace(k=3)
    scales = prior.scales(prior.start(amplitude, context, sigma), context, sigma)
    np.testing.assert_allclose(scales, amplitude, rtol=0.2)


@pytest.mark.parametrize("name", BASE_PRIORS)
def test_scales_of_one_splat(name, x64):
    prior = BASE_PRIORS[name] if name != "horseshoe" else RegularizedHorseshoe(n_active=0.4)
    context = CONTEXT._replace(k=1)
    values = prior.start(jnp.ones(1), context, jnp.asarray(SIGMA))
    scales = prior.scales(values, context, jnp.asarray(SIGMA))
    assert scales.shape == (1,)
    assert 0 < float(scales[0]) < np.inf


@pytest.mark.parametrize("name", sorted(set(PRIORS) - set(BASE_PRIORS)))
def test_repulsion_keeps_what_the_base_says(seen, name):
    wrapped = PRIORS[name]
    base, plain = wrapped.base, name.removeprefix("repulsive ")
    assert base == BASE_PRIORS[plain]
    jax.tree.map(np.testing.assert_array_equal, seen[name], seen[plain])
    assert wrapped.typical(CONTEXT) == base.typical(CONTEXT)
    assert wrapped.slack == base.slack
    assert wrapped.lengths(Lengths()) == base.lengths(Lengths())
    assert (wrapped.own_sites, wrapped.shared_sites) == (base.own_sites, base.shared_sites)
    assert wrapped.in_flow == Repulsive(base.in_flow, wrapped.strength)


def test_only_flat_frees_the_lengths_and_holds_the_scale():
    lengths = Lengths(typical=0.2, lkj=3.0)
    for prior in BASE_PRIORS.values():
        assert isinstance(prior.lengths(lengths), FreeLengths) == isinstance(prior, Flat)
        assert (prior.slack < 0.01) == isinstance(prior, Flat)
    assert vars(Flat().lengths(lengths)) == vars(lengths)


@pytest.mark.parametrize("name", PRIORS)
def test_typical_scales_follow_the_problem(name):
    prior = PRIORS[name]
    one, many = (float(prior.typical(CONTEXT._replace(overlap=overlap))) for overlap in (0.1, 0.4))
    fixed = isinstance(getattr(prior, "base", prior), Flat | RegularizedHorseshoe)  # scales of their own
    assert one > 0
    np.testing.assert_allclose(one / many, 1.0 if fixed else 2.0, rtol=1e-12)


def test_the_slab_bounds_the_horseshoe(x64):
    prior, wide = RegularizedHorseshoe(n_active=2.0, slab_scale=1.5), 1e12 * jnp.ones(K)
    values = {"tau": jnp.ones(()), "lam": wide, "slab": jnp.asarray(4.0)}
    np.testing.assert_allclose(prior.scales(values, CONTEXT, jnp.asarray(SIGMA)), 1.5 * 2.0, rtol=1e-6)


REFUSED = [
    (lambda: Ridge(scale=0.0), "Expected `scale` to be a number above 0, got 0.0"),
    (lambda: RegularizedHorseshoe(n_active=-1.0), "Expected `n_active`"),
    (lambda: RegularizedHorseshoe(slab_scale=np.nan), "Expected `slab_scale`"),
    (lambda: RegularizedHorseshoe(slab_df=0.0), "Expected `slab_df`"),
    (lambda: RegularizedHorseshoe(n_active=0.0), "Expected `n_active`"),
    (lambda: RegularizedHorseshoe(n_active=5.0).check(5), "below the number of splats (5), got 5; lower n_active"),
    (lambda: Repulsive(RegularizedHorseshoe(n_active=9.0)).check(5), "below the number of splats (5), got 9"),
    (lambda: R2D2(r2=1.0), "Expected `r2` strictly between 0 and 1, got 1.0"),
    (lambda: R2D2(precision=0.0), "Expected `precision`"),
    (lambda: R2D2(share=-0.5), "Expected `share`"),
    (lambda: StickBreaking(concentration=-3.0), "Expected `concentration`"),
    (lambda: StickBreaking(scale=np.inf), "Expected `scale`"),
    (lambda: Repulsive(strength=0.0), "Expected `strength`"),
    (lambda: Repulsive(Repulsive()), "Expected `base` to be one of the other priors, got Repulsive("),
]


@pytest.mark.parametrize(("make", "words"), REFUSED)
def test_dials_are_checked(make, words):
    with pytest.raises(BayesplatError) as refusal:
        make()
    assert words in str(refusal.value)


def test_every_prior_is_hashable_and_prints_its_dials():
    assert all(isinstance(prior, AmplitudePrior) for prior in PRIORS.values())
    assert len(set(PRIORS.values())) == len(PRIORS)
    assert repr(PRIORS["repulsive ridge"]) == "Repulsive(base=Ridge(scale=1.0), strength=2.0)"


@pytest.mark.parametrize(("k", "active"), [(1, 0.5), (4, 2.0), (10, 5.0), (80, 5.0)])
def test_the_horseshoe_expects_five_splats_to_matter_or_half_of_them(k, active):
    prior, values = RegularizedHorseshoe(), {"tau": jnp.ones(()), "slab": jnp.ones(()), "lam": jnp.ones(k)}
    prior.check(k)
    context = Context(k, 100, 0.1)
    expected = RegularizedHorseshoe(active).scales(values, context, jnp.asarray(0.2))
    np.testing.assert_array_equal(prior.scales(values, context, jnp.asarray(0.2)), expected)


def test_parts_that_all_underflow_leave_splats_without_amplitude(x64):
    values = {"r2": jnp.asarray(0.7), "part": jnp.zeros(CONTEXT.k)}
    np.testing.assert_array_equal(R2D2(share=1e-3).scales(values, CONTEXT, jnp.asarray(0.3)), 0.0)
