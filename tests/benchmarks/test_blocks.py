"""Time of gradients with many data, at once and in blocks of rows: `uv run pytest tests/benchmarks -o addopts=""`.

A hundred thousand data of two inputs, of whose features (n, r) nothing stays in the processor's cache at once.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import bayesplat as bs
from bayesplat import blocks
from bayesplat.flow.evidence import neg_log_evidence
from bayesplat.model import bind
from bayesplat.posterior.program import potential
from bayesplat.priors.sites import draw, unconstrain, unflatten
from bayesplat.scaling import fit_scaling

N = 100_000


@pytest.fixture(params=["at once", "in blocks"])
def way(request, monkeypatch):
    """How the density is computed."""
    monkeypatch.setattr(blocks, "IN_CACHE", 2**40 if request.param == "at once" else blocks.IN_CACHE)


@pytest.fixture(params=[20, 50])
def problem(request, way, x64):
    spec = bs.SplatModel(request.param, prior=bs.RegularizedHorseshoe(n_active=4))
    data = bs.datasets.simulate("surface", n=N)
    scaling = fit_scaling(data.x, data.y)
    x, y = np.asarray(scaling.to_box(data.x)), np.asarray(scaling.to_standard(data.y))
    return bind(spec, x, y, spec.likelihood.field(x))


def timed(benchmark, function, *args):
    """Time a compiled function that has run once, and note the memory that it works in."""
    compiled = jax.jit(function).lower(*args).compile()
    benchmark.extra_info["working_gb"] = compiled.memory_analysis().temp_size_in_bytes / 1e9
    jax.block_until_ready(compiled(*args))
    benchmark(lambda: jax.block_until_ready(compiled(*args)))


def test_gradient_of_the_sampler(benchmark, problem):
    z = ravel_pytree(unconstrain(problem.sites(), draw(problem.sites(), jax.random.key(1))))[0]
    unflat = unflatten(problem.sites())
    timed(benchmark, jax.grad(lambda z, problem: potential(problem, unflat(z))), z, problem)


def test_gradient_of_the_flow(benchmark, problem):
    k, energy = problem.spec.n_splats, neg_log_evidence(problem)
    position = energy.start(k)._replace(centre=jnp.asarray(np.random.default_rng(0).uniform(size=(k, 2))))
    timed(benchmark, jax.grad(lambda position, energy: energy.value(position, jnp.ones(k, bool))), position, energy)
