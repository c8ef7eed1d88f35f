"""Trees of draws: splats in the user's units are those of the unit box, and depths are those of the trees."""

import jax
import made_up
import numpy as np
import pytest

import bayesplat as bs
from bayesplat.diagnostics.convert import nuts_stats, to_datatree
from bayesplat.likelihoods import NoiseField
from bayesplat.scaling import fit_scaling

CHAINS, DRAWS = made_up.CHAINS, made_up.DRAWS


@pytest.fixture
def tilted():
    """A posterior of tilted splats over two inputs of very different ranges, and its draws on the unit box."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform((1, -300), (9, 500), (made_up.N, 2)), 100 + 20 * rng.normal(size=made_up.N)
    spec, scaling, names = bs.SplatModel(made_up.K, prior=bs.Ridge()), fit_scaling(x, y), ("a", "b", "y")
    drawn = made_up.made_up_draws(rng, scaling.to_standard(y), 2, CHAINS, DRAWS)
    prior = made_up.made_up_draws(rng, scaling.to_standard(y), 2, 1, 60)
    field, stats = NoiseField(np.zeros((0, 2)), 1.0, np.zeros(0)), {"lp": np.zeros((CHAINS, DRAWS))}
    tree = to_datatree(spec, scaling, drawn, prior, stats, x, y, np.arange(made_up.N), names, field)
    return bs.Posterior(spec, scaling, names, tree, made_up.INFO), drawn


def test_tilted_splats_of_two_inputs_are_the_same_in_units_and_in_predictions(tilted):
    (post, drawn), c, s = tilted, 1, 7
    x, scaling = post.table.x, post.scaling

    def f(A, b, amplitude, x):
        with jax.enable_x64(True):
            return np.asarray(bs.SplatMeasure.from_amplitude(amplitude[:, None], A, b, post.spec.mother)(x))[:, 0]

    own = f(drawn.A[c, s], drawn.b[c, s], drawn.amplitude[c, s], scaling.to_box(x))
    kept = [post.data["posterior"][name].values[c, s] for name in ("A", "b", "amplitude")]
    np.testing.assert_allclose(f(*kept, x), scaling.sd * own, rtol=1e-8)
    expected = scaling.mean + scaling.sd * (own + drawn.trend[c, s, 0])
    np.testing.assert_allclose(post.draws(x)[DRAWS * c + s], expected, rtol=1e-8)


def test_depths_are_those_of_the_trees():
    steps = np.array([[1, 3, 7, 62, 63]])
    names = ("potential_energy", "energy", "accept_prob", "diverging", "teleported")
    found = nuts_stats({**{name: np.zeros(steps.shape) for name in names}, "num_steps": steps}, 6)
    np.testing.assert_array_equal(found["tree_depth"], [[1, 2, 3, 6, 6]])
    np.testing.assert_array_equal(found["reached_max_tree_depth"], [[False, False, False, True, True]])
