"""Neural networks: multilayer perceptrons (flax) and Kolmogorov-Arnold networks (jaxkan), trained as in the paper.

All see inputs scaled to [-1, 1], where KANs have their knots; their hidden units are smooth, so PINNs can use them too.
"""

import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxkan.layers import ChebyshevLayer, SplineLayer

from .fitted import Fitted
from .training import minimise, predictor


class MLP(nnx.Module):
    """Dense layers with tanh between them."""

    def __init__(self, widths: Sequence[int], seed: int):
        rngs = nnx.Rngs(seed)
        self.layers = nnx.List([nnx.Linear(i, o, rngs=rngs) for i, o in pairwise(widths)])

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers[:-1]:
            x = jnp.tanh(layer(x))
        return self.layers[-1](x)


class Splines(SplineLayer):
    """The library's layer with its basis computed one spline at a time: the same numbers, ten times faster on a CPU."""

    def basis(self, x: jax.Array) -> jax.Array:
        """B-splines of degree k on the equispaced knots (n, i) -> (n, i, grid + k), by the recursion in the degree."""
        knots = self.grid.item  # (i, grid + 2k + 1)
        u = (x - knots[:, 0]) / (knots[:, 1] - knots[:, 0])
        splines = [((u >= j) & (u < j + 1)).astype(x.dtype) for j in range(knots.shape[1] - 1)]
        for degree in range(1, self.k + 1):
            neighbours = enumerate(pairwise(splines))
            splines = [((u - j) * left + (j + degree + 1 - u) * right) / degree for j, (left, right) in neighbours]
        return jnp.stack(splines, axis=-1)


class KAN(nnx.Module):
    """Layers y_o = sum_i phi_oi(x_i), each phi a sum of Chebyshev polynomials of tanh(x_i), or silu plus splines."""

    def __init__(self, widths: Sequence[int], seed: int, basis: str = "chebyshev", degree: int = 10, grid: int = 5):
        # "exact" polynomials are 6 times faster than the default by cosines, whose gradient is infinite at tanh(x) = 1
        kind, settings = {
            "chebyshev": (ChebyshevLayer, {"D": degree, "flavor": "exact"}),
            "spline": (Splines, {"k": degree, "G": grid}),
        }[basis]
        # numbers of their own for every layer: jaxkan's own stack starts all its layers from one seed
        seeds = np.random.SeedSequence(seed).generate_state(len(widths) - 1)
        self.layers = nnx.List(
            [kind(n_in=i, n_out=o, seed=int(s), **settings) for (i, o), s in zip(pairwise(widths), seeds, strict=True)]
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = layer(x)
        return x


def split(module: nnx.Module) -> tuple[Callable, nnx.State, int]:
    """The module as u(parameters, x) (n, d) -> (n,), its parameters, and how many they are."""
    graph, parameters, rest = nnx.split(module, nnx.Param, ...)

    def u(parameters: nnx.State, x: jax.Array) -> jax.Array:
        return nnx.merge(graph, parameters, rest)(x)[:, 0]

    return u, parameters, sum(leaf.size for leaf in jax.tree.leaves(parameters))


def mlp(
    x: np.ndarray,
    y: np.ndarray,
    *,
    seed: int = 0,
    hidden: Sequence[int] = (200,),
    steps: int = 20_000,
    learning_rate: float = 1e-4,
) -> Fitted:
    """Perceptron with tanh units: Adam on the mean squared error, all data in every step."""
    began = time.perf_counter()
    return train(MLP((x.shape[1], *hidden, 1), seed), x, y, steps, learning_rate, began)


def kan(
    x: np.ndarray,
    y: np.ndarray,
    *,
    seed: int = 0,
    hidden: Sequence[int] = (50,),
    basis: str = "chebyshev",
    degree: int = 10,
    grid: int = 5,
    steps: int = 20_000,
    learning_rate: float = 1e-4,
) -> Fitted:
    """Kolmogorov-Arnold network of `basis` "chebyshev" or "spline" (with `grid` intervals), trained like `mlp`."""
    began = time.perf_counter()
    module = KAN((x.shape[1], *hidden, 1), seed, basis, degree, grid)
    return train(module, x, y, steps, learning_rate, began)


def train(module: nnx.Module, x: np.ndarray, y: np.ndarray, steps: int, learning_rate: float, began: float) -> Fitted:
    """Train on inputs scaled to [-1, 1] and targets of mean 0 and sd 1, so that one learning rate suits all units."""
    low, width, mean, sd = x.min(axis=0), np.ptp(x, axis=0), y.mean(), y.std()
    u, start, count = split(module)
    inputs, targets = jnp.asarray(2 * (x - low) / width - 1, jnp.float32), jnp.asarray((y - mean) / sd, jnp.float32)

    def loss(parameters: nnx.State, _: jax.Array) -> jax.Array:
        return jnp.mean(jnp.square(u(parameters, inputs) - targets))

    parameters, losses = minimise(loss, start, optax.adam(learning_rate), steps)
    values = predictor(u, parameters)
    return Fitted(
        lambda new: mean + sd * values(2 * (new - low) / width - 1),
        count,
        time.perf_counter() - began,
        f"loss {losses[0]:.2e} to {losses[-1]:.2e}",
    )
