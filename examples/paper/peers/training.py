"""First-order training as one compiled loop, shared by everything here that learns by gradient steps."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

ROWS = 4096
"""Rows that are predicted at once."""


def minimise(
    loss: Callable[[Any, jax.Array], jax.Array],
    start: Any,
    optimizer: optax.GradientTransformation,
    steps: int,
    seed: int = 0,
) -> tuple[Any, np.ndarray]:
    """Parameters after `steps` steps down loss(parameters, key), and the losses (steps,) on the way.

    The key is new in every step, for losses that draw a batch.
    """

    def step(state: tuple, key: jax.Array) -> tuple[tuple, jax.Array]:
        parameters, memory = state
        value, gradient = jax.value_and_grad(loss)(parameters, key)
        update, memory = optimizer.update(gradient, memory, parameters)
        return (optax.apply_updates(parameters, update), memory), value

    @jax.jit
    def run(parameters: Any, keys: jax.Array) -> tuple[Any, jax.Array]:
        (parameters, _), values = jax.lax.scan(step, (parameters, optimizer.init(parameters)), keys)
        return parameters, values

    parameters, values = run(start, jax.random.split(jax.random.key(seed), steps))
    return parameters, np.asarray(values)


def predictor(f: Callable[[Any, jax.Array], jax.Array], parameters: Any) -> Callable[[np.ndarray], np.ndarray]:
    """NumPy version of x (m, d) -> f(parameters, x) (m,), in blocks of rows, so that memory does not grow with m."""
    values = jax.jit(f)

    def predict(x: np.ndarray) -> np.ndarray:
        blocks = [jnp.asarray(x[row : row + ROWS], jnp.float32) for row in range(0, len(x), ROWS)]
        return np.concatenate([np.asarray(values(parameters, block), np.float64) for block in blocks])

    return predict
