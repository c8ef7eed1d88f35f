"""Time of the sampler's parts on three data sets: `uv run pytest tests/benchmarks -o addopts=""`.

Floors on one core at 8.6e8 exponentials and 5.0e10 flops a second (half of docs/paper/cost.md), for the n k
exponentials and 4 n r^2 flops of a gradient: 3 us (n = 133, k = 10), 112 us (n = 1000, k = 30) and 64 us (n = 512,
k = 32). For 32 candidates for the place of every splat, k times 32 n exponentials and 64 n r flops: 0.07, 2.3 and
1.3 ms.
"""

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from threadpoolctl import threadpool_limits

import bayesplat as bs
from bayesplat.bound import bind_table
from bayesplat.model import bind
from bayesplat.posterior.interweave import interweave
from bayesplat.posterior.nuts import Settings
from bayesplat.posterior.program import potential
from bayesplat.posterior.slide import slide
from bayesplat.posterior.teleport import teleport
from bayesplat.priors.sites import draw, unconstrain, unflatten
from bayesplat.scaling import fit_scaling

REPEATS = 50
"""Calls inside one compiled loop, so that what is timed is not the call from Python."""


PRIOR = bs.RegularizedHorseshoe(n_active=4)
CASES = {
    "motorcycle": (bs.SplatModel(10, prior=PRIOR), bs.datasets.motorcycle),
    "wave": (bs.SplatModel(30, prior=PRIOR), lambda: bs.datasets.simulate("chirp", n=1000)),
    "blocks": (bs.SplatModel(32, prior=PRIOR, mother=bs.mothers.Box(1024)), lambda: bs.datasets.simulate("blocks")),
}


@pytest.fixture(scope="module", params=CASES)
def problem(request):
    spec, load = CASES[request.param]
    data = load()
    scaling = fit_scaling(data.x.reshape(-1, 1), data.y)
    x, y = np.asarray(scaling.to_box(data.x.reshape(-1, 1))), np.asarray(scaling.to_standard(data.y))
    with jax.enable_x64(True):
        return bind(spec, x, y, spec.likelihood.field(x))


def repeated(step, start):
    """A compiled loop of REPEATS steps, already run once, as a function without arguments."""
    loop = jax.jit(lambda start: jax.lax.scan(lambda carry, key: (step(carry, key), None), start, KEYS)[0])
    jax.block_until_ready(loop(start))
    return lambda: jax.block_until_ready(loop(start))


@pytest.fixture(autouse=True)
def narrow():
    """LAPACK on one thread, as where chains run."""
    with threadpool_limits(1, "blas"):
        yield


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


SIZES = [(1000, 1, 30), (1000, 2, 30), (2500, 2, 100), (5000, 2, 70), (20_000, 1, 30), (20_000, 5, 30), (62_500, 2, 20)]


@pytest.mark.parametrize(("n", "d", "k"), [*SIZES, (100_000, 2, 10)])
def test_gradient_by_size(benchmark, n, d, k, x64):
    """Nanoseconds for each unit of n k (k + 150), by which `posterior.choice` tells what takes hours."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(n, d))
    problem = bind_table(bs.SplatModel(k), x, np.sin(20 * x).sum(1) + 0.05 * rng.normal(size=n)).problem
    values, gradient = draw(problem.sites(), jax.random.key(1)), jax.jit(jax.value_and_grad(problem.log_joint))
    jax.block_until_ready(gradient(values))
    benchmark(lambda: jax.block_until_ready(gradient(values)))
    benchmark.extra_info["ns_per_unit"] = 1e9 * benchmark.stats["median"] / (n * k * (k + 150))


@pytest.mark.parametrize("pool", [16, Settings().pool, 64])
def test_teleports_of_all_splats(benchmark, problem, values, pool):
    benchmark(repeated(lambda values, key: teleport(problem, values, key, pool)[0], values))


@pytest.mark.parametrize("problem", ["blocks"], indirect=True)
def test_slides_of_all_splats(benchmark, problem, values):
    assert problem.spec.mother.sharp  # no other splats slide
    benchmark(repeated(lambda values, key: slide(problem, values, key, Settings().pool), values))


def test_interweaving(benchmark, problem, values):
    benchmark(repeated(lambda values, key: interweave(problem, values, key, Settings().pool), values))
