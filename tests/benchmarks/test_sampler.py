"""Time of the sampler's parts on the motorcycle data: `uv run pytest tests/benchmarks -o addopts=""`.

Floors at n = 133, k = 10, one core: 1,330 exponentials (7 us) and 32 kflop (about 8 us) for one log density, twice to
three times that with its gradient; 8,500 exponentials (43 us) and 190 kflop for the pool of one splat at 64 candidates.
"""

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import bayesplat as bs
from bayesplat.model import bind
from bayesplat.posterior.interweave import interweave
from bayesplat.posterior.nuts import Settings
from bayesplat.posterior.program import potential
from bayesplat.posterior.teleport import teleport
from bayesplat.priors.sites import draw, unconstrain, unflatten
from bayesplat.scaling import fit_scaling

REPEATS = 200
"""Calls inside one compiled loop, so that what is timed is not the call from Python."""


@pytest.fixture(scope="module")
def problem():
    data = bs.datasets.motorcycle()
    spec = bs.SplatModel(10, prior=bs.RegularizedHorseshoe(n_active=4))
    scaling = fit_scaling(data.x[:, None], data.y)
    x, y = np.asarray(scaling.to_box(data.x[:, None])), np.asarray(scaling.to_standard(data.y))
    with jax.enable_x64(True):
        return bind(spec, x, y, spec.likelihood.field(x))


def repeated(step, start):
    """A compiled loop of REPEATS steps, already run once, as a function without arguments."""
    loop = jax.jit(lambda start: jax.lax.scan(lambda carry, key: (step(carry, key), None), start, KEYS)[0])
    jax.block_until_ready(loop(start))
    return lambda: jax.block_until_ready(loop(start))


KEYS = jax.random.split(jax.random.key(0), REPEATS)


@pytest.fixture
def values(problem, x64):
    return draw(problem.sites(), jax.random.key(1))


def test_log_density(benchmark, problem, values):
    z, unflat = ravel_pytree(unconstrain(problem.sites(), values))[0], unflatten(problem.sites())
    benchmark(repeated(lambda z, _: z + 1e-12 * potential(problem, unflat(z)), z))


def test_gradient(benchmark, problem, values):
    z, unflat = ravel_pytree(unconstrain(problem.sites(), values))[0], unflatten(problem.sites())
    gradient = jax.grad(lambda z: potential(problem, unflat(z)))
    benchmark(repeated(lambda z, _: z - 1e-9 * gradient(z), z))


@pytest.mark.parametrize("pool", [16, Settings().pool, 64])
def test_teleports_of_all_splats(benchmark, problem, values, pool):
    benchmark(repeated(lambda values, key: teleport(problem, values, key, pool)[0], values))


def test_interweaving(benchmark, problem, values):
    benchmark(repeated(lambda values, key: interweave(problem, values, key, Settings().pool), values))
