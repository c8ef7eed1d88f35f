"""One small problem for all tests of the flow: two bumps in one dimension."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesplat import model
from bayesplat.flow import run
from bayesplat.flow.energy import neg_log_evidence
from bayesplat.priors import Ridge
from bayesplat.threads import run_all

N, K, NOISE = 40, 4, 0.03
X = np.linspace(0, 1, N)[:, None]
SETTINGS = run.Settings(rounds=6, patience=3, first_steps=60, steps=20)


def two_bumps(first, second, noise=NOISE):
    """A positive and a negative bump, 0.05 wide, with noise."""
    bump = np.exp(-0.5 * ((X - [first, second]) / 0.05) ** 2)
    return bump @ [1.0, -0.8] + noise * np.random.default_rng(0).normal(size=N)


def energy_of(y, x=X):
    """Energy of standardised data; a fixed overlap stands in for the estimate, which takes seconds to compile."""
    spec = model.Specification(K, Ridge())
    with pytest.MonkeyPatch.context() as patch, jax.enable_x64(True):
        patch.setattr(model, "_overlap", lambda *_: jnp.asarray(0.15, float))
        return neg_log_evidence(model.bind(spec, x, (y - y.mean()) / y.std(), spec.likelihood.field(x)))


def on_a_thread(function, *args) -> Any:
    """Call a compiled function as the flow does: JAX compiles again for another kind of thread."""
    out = []
    run_all(lambda i, stop: out.append(jax.tree.map(np.asarray, function(*args))), 1, lambda: None)
    return out[0]
