"""What the dial of every amplitude prior promises, by Monte Carlo over its sites."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from statistical import P_VALUE, law_p_value, mean_p_value

from bayesplat import SplatModel
from bayesplat.priors import R2D2, Context, RegularizedHorseshoe, Ridge, StickBreaking

K, DRAWS, SIGMA = 8, 4000, 0.3
CONTEXT = Context(K, 50, 0.15)


@pytest.fixture(scope="module", autouse=True)
def doubled():
    with jax.enable_x64(True):
        yield


def scales(prior, laws, context=CONTEXT):
    """Prior sds of the amplitudes (draws, k), the sites drawn by SciPy."""
    rng, table = np.random.default_rng(0), prior.sites(context.k)
    values = {name: jnp.asarray(laws[name].rvs((DRAWS, *table[name].shape()), rng)) for name in sorted(table)}
    return np.asarray(jax.vmap(lambda one: prior.scales(one, context, jnp.asarray(SIGMA)))(values))


def variance_of_f(amplitude_sd):
    """Prior variance of f over the data given the sites."""
    return CONTEXT.overlap * np.sum(amplitude_sd**2, 1)


HALF_NORMAL = stats.halfnorm()


@pytest.mark.parametrize("scale", [0.5, 2.0])
@pytest.mark.parametrize("prior", [Ridge, StickBreaking])
def test_scale_is_the_prior_sd_of_f(prior, scale):
    found = variance_of_f(scales(prior(scale=scale), {"tau": HALF_NORMAL, "stick": stats.beta(1, 3)}))
    assert mean_p_value(found, scale**2) > P_VALUE
    assert mean_p_value(found, (1.1 * scale) ** 2) < P_VALUE


def test_ridge_treats_all_splats_alike():
    found = scales(Ridge(), {"tau": HALF_NORMAL})
    np.testing.assert_allclose(found, found[:, :1] * np.ones(K), rtol=1e-12)


def slabless(n_active):
    """A horseshoe whose slab is too wide to matter, at tau = tau_0."""
    prior = RegularizedHorseshoe(n_active=n_active, slab_scale=1e9)
    return scales(prior, {"tau": stats.uniform(1.0, 0.0), "lam": stats.halfcauchy(), "slab": stats.uniform(1.0, 0.0)})


@pytest.mark.parametrize("n_active", [1.0, 5.0])
def test_n_active_is_the_expected_number_of_unshrunk_splats(n_active):
    """1 - 1 / (1 + n overlap scale^2 / sigma^2) is the share of its least-squares size that an amplitude keeps."""
    signal = CONTEXT.n * CONTEXT.overlap * slabless(n_active) ** 2 / SIGMA**2
    kept = np.sum(1 - 1 / (1 + signal), 1)
    assert mean_p_value(kept, n_active) > P_VALUE
    assert mean_p_value(kept, 1.2 * n_active) < P_VALUE


def explained(prior, r2):
    laws = {"r2": r2, "part": stats.gamma(prior.share)}
    variance = variance_of_f(scales(prior, laws))
    return variance / (variance + SIGMA**2)


@pytest.mark.parametrize("r2", [0.4, 0.8])
def test_r2_is_the_prior_mean_of_the_explained_share(r2):
    found = explained(R2D2(r2=r2, precision=5.0), stats.beta(5 * r2, 5 * (1 - r2)))
    assert mean_p_value(found, r2) > P_VALUE
    assert mean_p_value(found, r2 + 0.03) < P_VALUE
    assert law_p_value(found, stats.beta(5 * r2, 5 * (1 - r2)).cdf) > P_VALUE
    assert law_p_value(found, stats.beta(8 * r2, 8 * (1 - r2)).cdf) < P_VALUE


def split(amplitude_sd):
    """Share of each splat in the prior variance of f."""
    return amplitude_sd**2 / np.sum(amplitude_sd**2, 1, keepdims=True)


@pytest.mark.parametrize("share", [0.3, 2.0])
def test_share_is_the_dirichlet_parameter_of_the_split(share):
    found = split(scales(R2D2(share=share), {"r2": stats.beta(2.8, 1.2), "part": stats.gamma(share)}))
    crowded = (share + 1) / (K * share + 1)  # E[sum of squared shares]
    assert mean_p_value(np.sum(found**2, 1), crowded) > P_VALUE
    assert mean_p_value(np.sum(found**2, 1), 1.2 * crowded) < P_VALUE
    assert law_p_value(found[:, 0], stats.beta(share, (K - 1) * share).cdf) > P_VALUE


@pytest.mark.parametrize("concentration", [0.5, 3.0])
def test_concentration_says_how_fast_importance_falls(concentration):
    """With endless sticks the i-th share has mean (1 / (1 + c)) (c / (1 + c))^i."""
    laws = {"tau": HALF_NORMAL, "stick": stats.beta(1.0, concentration)}
    found = split(scales(StickBreaking(concentration=concentration), laws, CONTEXT._replace(k=60)))[:, :4]
    expected = (concentration / (1 + concentration)) ** np.arange(4) / (1 + concentration)
    assert mean_p_value(found, expected) > P_VALUE
    assert mean_p_value(found, expected[::-1]) < P_VALUE


# ---------------------------------------------------------------- what dials come to in draws from the prior

X = np.linspace(0, 1, 100)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prior", "k", "expected"),
    [
        (RegularizedHorseshoe(), 20, 4.6), (RegularizedHorseshoe(), 80, 6.9),
        (StickBreaking(), 20, 6.8), (StickBreaking(), 80, 7.1), (Ridge(), 20, 11.0), (R2D2(), 20, 10.5),
    ],
)  # fmt: skip
def test_so_many_splats_matter_before_any_data(prior, k, expected):
    """The table of docs/priors.md, from other draws."""
    drawn = SplatModel(k, prior=prior, trend="none").prior_predictive(X, draws=2000, seed=1)
    active = np.sum(drawn.contribution > 0.05, 1)
    assert mean_p_value(active, expected) > P_VALUE
    assert mean_p_value(active, 1.3 * expected) < P_VALUE


@pytest.mark.slow
def test_a_draw_of_f_explains_less_about_its_own_mean_than_r2_says():
    drawn = SplatModel(20, prior=R2D2(r2=0.7), trend="none").prior_predictive(X, draws=2000, seed=1)
    share = 1 / (1 + drawn.sigma**2 / drawn.f.var(1))
    assert mean_p_value(share, 0.45) > P_VALUE
    assert mean_p_value(share, 0.7) < P_VALUE
