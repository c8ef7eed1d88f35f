"""Splats trained as in the paper: plain gradients of the squared error in (v, A, b), no births, no deaths, no prior.

f(x) = sum_i v_i rho(A_i^{-1} (x - b_i)) / |det A_i| with the Gaussian density rho; A_i is any d x d matrix. In float32.
"""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .fitted import Fitted
from .training import minimise, predictor


class Splats(NamedTuple):
    """The particles (v_i, A_i, b_i)."""

    v: jax.Array  # (k,)
    A: jax.Array  # (k, d, d)
    b: jax.Array  # (k, d)


def evaluate(splats: Splats, x: jax.Array) -> jax.Array:
    """Values f(x) (n,), by one matrix product for each axis of z = A^{-1} (x - b)."""
    (n, d), k = x.shape, splats.v.shape[0]
    inverse = jnp.linalg.inv(splats.A)
    q = jnp.zeros((n, k))
    for axis in range(d):
        to_z = inverse[:, axis]  # (k, d), the row of each A^{-1} that gives this axis of z
        q = q + jnp.square(x @ to_z.T - jnp.sum(to_z * splats.b, axis=1))
    mass = splats.v / jnp.abs(jnp.linalg.det(splats.A)) / (2 * jnp.pi) ** (d / 2)
    return jnp.exp(-q / 2) @ mass


def parameter_count(k: int, d: int) -> int:
    """k (1 + d (d + 3) / 2), as the paper counts: of A only the d (d + 1) / 2 numbers that change f."""
    return k * (1 + d * (d + 3) // 2)


def chebyshev_start(k: int) -> Splats:
    """E1: b at the Chebyshev points of [0, 1], A half the distance to the nearest neighbour, v = 0."""
    b = (1 - np.cos(np.pi * (np.arange(k) + 0.5) / k)) / 2
    gaps = np.concatenate([[np.inf], np.diff(b), [np.inf]])
    A = np.minimum(gaps[:-1], gaps[1:]) / 2
    return Splats(jnp.zeros(k), jnp.asarray(A[:, None, None], jnp.float32), jnp.asarray(b[:, None], jnp.float32))


def uniform_start(k: int, d: int, seed: int) -> Splats:
    """E2 and E3: b uniform on the unit box, A = 0.1 I, v = 0."""
    b = np.random.default_rng([seed, 1]).uniform(size=(k, d))  # data drawn from `seed` alone would be the same points
    return Splats(jnp.zeros(k), jnp.tile(0.1 * jnp.eye(d), (k, 1, 1)), jnp.asarray(b, jnp.float32))


def plain_flow(
    x: np.ndarray, y: np.ndarray, k: int, *, seed: int = 0, steps: int = 20_000, learning_rate: float = 1e-5
) -> Fitted:
    """E1 and E1b: plain gradient steps down the risk (1/2n) sum_j (f(x_j) - y_j)^2, for one input.

    The paper does not say how its code weighs the loss. With the 1/n of its risk both its rates, 1e-5 and 1e-4, are
    stable; with the plain sum E1b blows up at 1e-4.
    """
    del seed  # nothing is drawn; all peers share one signature
    began = time.perf_counter()
    return train(chebyshev_start(k), x, y, optax.sgd(learning_rate), steps, weight=0.5, began=began)


def adam(
    x: np.ndarray, y: np.ndarray, k: int, *, seed: int = 0, steps: int = 20_000, learning_rate: float = 1e-4
) -> Fitted:
    """E2: Adam on the mean squared error, all data in every step."""
    began = time.perf_counter()
    return train(uniform_start(k, x.shape[1], seed), x, y, optax.adam(learning_rate), steps, weight=1.0, began=began)


def train(
    start: Splats,
    x: np.ndarray,
    y: np.ndarray,
    optimizer: optax.GradientTransformation,
    steps: int,
    weight: float,
    began: float,
) -> Fitted:
    """Train on `weight` times the mean squared error."""
    inputs, targets = jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)

    def loss(splats: Splats, _: jax.Array) -> jax.Array:
        return weight * jnp.mean(jnp.square(evaluate(splats, inputs) - targets))

    splats, losses = minimise(loss, start, optimizer, steps)
    k, d = splats.b.shape
    note = f"loss {losses[0]:.2e} to {losses[-1]:.2e}"
    return Fitted(predictor(evaluate, splats), parameter_count(k, d), time.perf_counter() - began, note)
