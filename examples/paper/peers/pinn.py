"""Networks and splats trained on the residual of an equation: experiment E3, steady Allen-Cahn on the unit square.

eps^2 lap u + u - u^3 = 0 inside, u given on the boundary. No value of u inside is seen.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .fitted import Fitted
from .networks import KAN, MLP, split
from .paper_splats import evaluate, parameter_count, uniform_start
from .training import minimise, predictor

NETWORKS = {"mlp": MLP, "kan": KAN}


def laplacian(u: Callable[[jax.Array], jax.Array], x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Values of u and of lap u (n,) at the rows of x (n, d), for a u that treats rows one by one.

    The second derivative along each axis by two forward passes, for all rows at once: no Hessian is formed.
    """

    def along(axis: int) -> tuple[jax.Array, jax.Array]:
        direction = jnp.zeros_like(x).at[:, axis].set(1)

        def first(at: jax.Array) -> tuple[jax.Array, jax.Array]:
            return jax.jvp(u, (at,), (direction,))

        (value, _), (_, second) = jax.jvp(first, (x,), (direction,))
        return value, second

    values, seconds = zip(*map(along, range(x.shape[1])), strict=True)
    return values[0], sum(seconds)


def residual(u: Callable[[jax.Array], jax.Array], x: jax.Array, eps: float) -> jax.Array:
    """eps^2 lap u + u - u^3 (n,), zero for a solution."""
    value, curvature = laplacian(u, x)
    return eps**2 * curvature + value - value**3


def pinn(
    interior: np.ndarray,
    boundary: np.ndarray,
    values: np.ndarray,
    *,
    network: str = "mlp",
    hidden: Sequence[int] = (200,),
    seed: int = 0,
    steps: int = 5_000,
    learning_rate: float = 1e-4,
    batch: int = 500,
    eps: float = 0.1,
    **architecture: Any,
) -> Fitted:
    """Network ("mlp" or "kan", with `hidden` units) for points (n, d), boundary points (m, d) and u there (m,).

    `architecture` goes to the network: a KAN's basis, degree and grid.
    """
    began = time.perf_counter()
    u, start, count = split(NETWORKS[network]((interior.shape[1], *hidden, 1), seed, **architecture))

    def centred(parameters: Any, x: jax.Array) -> jax.Array:
        return u(parameters, 2 * x - 1)  # the unit box to [-1, 1], where KANs have their knots

    points = (interior, boundary, values)
    predict, note = train(centred, start, points, steps, learning_rate, batch, eps, seed)
    return Fitted(predict, count, time.perf_counter() - began, note)


def splat_pinn(
    interior: np.ndarray,
    boundary: np.ndarray,
    values: np.ndarray,
    k: int,
    *,
    seed: int = 0,
    steps: int = 5_000,
    learning_rate: float = 1e-4,
    batch: int = 500,
    eps: float = 0.1,
) -> Fitted:
    """k splats by the same training: A = 0.1 I, v = 0, b uniform."""
    began = time.perf_counter()
    d = interior.shape[1]
    points = (interior, boundary, values)
    predict, note = train(evaluate, uniform_start(k, d, seed), points, steps, learning_rate, batch, eps, seed)
    return Fitted(predict, parameter_count(k, d), time.perf_counter() - began, note)


def train(
    u: Callable[[Any, jax.Array], jax.Array],
    start: Any,
    points: tuple[np.ndarray, np.ndarray, np.ndarray],
    steps: int,
    learning_rate: float,
    batch: int,
    eps: float,
    seed: int,
) -> tuple[Callable[[np.ndarray], np.ndarray], str]:
    """Adam on mean squared residual + mean squared misfit of the boundary, by batches of `batch` points.

    A batch holds interior and boundary points in the proportion of the data, drawn anew in each step.
    """
    interior, boundary, values = (jnp.asarray(part, jnp.float32) for part in points)
    share = min(1, batch / (len(interior) + len(boundary)))
    inside, outside = round(share * len(interior)), round(share * len(boundary))

    def loss(parameters: Any, key: jax.Array) -> jax.Array:
        key_inside, key_outside = jax.random.split(key)
        rows = jax.random.choice(key_inside, len(interior), (inside,), replace=False)
        edge = jax.random.choice(key_outside, len(boundary), (outside,), replace=False)
        equation = residual(lambda x: u(parameters, x), interior[rows], eps)
        misfit = u(parameters, boundary[edge]) - values[edge]
        return jnp.mean(jnp.square(equation)) + jnp.mean(jnp.square(misfit))

    parameters, losses = minimise(loss, start, optax.adam(learning_rate), steps, seed)
    return predictor(u, parameters), f"loss {losses[0]:.2e} to {losses[-1]:.2e}"
