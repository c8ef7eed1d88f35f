"""Time of eleven steps of the flow's transport: `taskset -c 0 uv run pytest tests/benchmarks -o addopts=""`.

Floors of one step on one core at 1.05e9 exponentials and 1.1e11 flops a second (half of docs/paper/cost.md): five sets
of n k exponentials, four products of features, 2 n r^2 flops each, and of their derivatives along the c coordinates of
k particles 2 n (c k) (c k + r): 0.06 ms (n = 200, d = 1, k = 30), 0.7 ms (1000, 2, 30) and 11.4 ms (4000, 2, 64).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import bayesplat as bs
from bayesplat.bound import bind_table
from bayesplat.flow import transport
from bayesplat.flow.evidence import neg_log_evidence
from bayesplat.flow.step import State, fill

STEPS = 10  # after the first
CASES = {"small": (200, 1, 30), "surface": (1000, 2, 30), "many": (4000, 2, 64)}


@pytest.fixture(params=CASES)
def start(request, x64):
    """An energy, and all its splats where births put them."""
    n, d, k = CASES[request.param]
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(n, d))
    y = np.sin(20 * x).sum(1) + 0.05 * rng.normal(size=n)
    energy = neg_log_evidence(bind_table(bs.SplatModel(k), x, y).problem)
    nothing = State(energy.start(k), np.zeros(k, bool), np.asarray(np.inf))
    filled = fill(energy, nothing, jax.random.key(0), jnp.asarray(0.15))
    return energy, filled.position, filled.live


def test_eleven_steps(benchmark, start, monkeypatch):
    monkeypatch.setattr(transport, "STILL", STEPS + 1)  # no step is saved
    go = eqx.filter_jit(transport.gauss_newton)
    with threadpool_limits(1, "blas"):  # as where starts run
        jax.block_until_ready(go(*start, jnp.asarray(STEPS)))
        benchmark(lambda: jax.block_until_ready(go(*start, jnp.asarray(STEPS))))
