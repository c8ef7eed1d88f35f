"""Small problems that bind without compiling anything."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesplat import model
from bayesplat.priors.sites import draw

N = 15
X = np.linspace(0, 1, N)[:, None]
SQUARE = np.stack([X[:, 0], np.random.default_rng(1).uniform(size=N)], 1)
Y = np.sin(5 * X[:, 0]) + 0.1 * np.random.default_rng(0).normal(size=N)
OVERLAP = 0.25


def problem_of(prior, k, error=None, x=X, y=Y, **spec):
    """A problem of k splats; a fixed overlap stands in for the estimate, which takes seconds to compile."""
    spec = model.Specification(k, prior, **spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "_overlap", lambda *_: jnp.asarray(OVERLAP, float))
        return model.bind(spec, x, y, spec.likelihood.field(x), error=error)


def thinned(problem, rows):
    """The problem with these data only: the same shapes, so the same compiled code."""
    observed = jnp.zeros(N).at[np.asarray(rows, int)].set(1.0)
    return eqx.tree_at(lambda problem: problem.observed, problem, observed)


def from_prior(problem, statistics, count):
    """Log likelihoods (count,) and statistics (count, q) of site values of the prior: weighed, the posterior."""

    def one(key):
        values = draw(problem.sites(), key)
        return problem.log_likelihood(values), statistics(problem, values)

    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), count)
        return jax.tree.map(np.asarray, jax.jit(lambda keys: jax.lax.map(one, keys, batch_size=20_000))(keys))
