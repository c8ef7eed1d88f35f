"""Fast evaluation of a splat measure by matrix products, in blocks of rows with bounded memory."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayesplat import scales
from bayesplat._typing import AnyArray, Float
from bayesplat.measure import SplatMeasure
from bayesplat.mothers import Mother

__all__ = ["evaluate", "heights", "heights_along", "laplacians", "sum_over_rows"]

# Entries (rows x splats) of one block: 2 MiB in float32, so the few arrays of a block stay in the processor's cache.
# Between 2^18 and 2^20 the times differ by less than their noise (2 cores, k = 50, d = 1, 2, 5).
_BLOCK_ENTRIES = 2**19
# Entries of one block of a sum, whose backward pass holds some twenty arrays of that size, 0.5 MiB each in float64.
# From 2^14 to 2^17 the times of an energy and its gradient differ by a fifth (2 cores, n to 1e5, k = 50, 500).
_SUM_ENTRIES = 2**16

_inverses = jax.jit(jax.vmap(scales.inverse))


def heights(
    A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"], x: Float[AnyArray, "n d"], mother: Mother
) -> Float[AnyArray, "n k"]:
    """Heights rho(z) / rho(0) (n, k) at z = A^{-1} (x - b), by one matrix product per axis of z; all splats live.

    Digits are lost where the origin lies many lengths of a splat away: x is best in the unit box.
    """
    return _heights(_inverses(A), b, x, mother)


def heights_along(
    A: Float[AnyArray, "k d d"],
    b: Float[AnyArray, "k d"],
    x: Float[AnyArray, "n d"],
    mother: Mother,
    directions: Float[np.ndarray, "c d d"],
) -> list[Float[AnyArray, "n k"]]:
    """Derivatives of heights as splats move along A L_s, for every direction L_s, and then along A e_s.

    With h(q) the height at q = |z|^2: -2 h'(q) z^T L_s z and -2 h'(q) z_s.
    """
    z = _offsets(_inverses(A), b, x)
    q = _square(z)
    _, slope = jax.jvp(lambda q: mother.height(q, x.shape[1]), (q,), (-2 * jnp.ones_like(q),))
    slope = jax.lax.optimization_barrier(slope)  # or the compiler takes it anew for every product
    forms = [sum(L[s, t] * z[s] * z[t] for s, t in np.argwhere(L)) for L in directions]
    return [slope * along for along in (*forms, *z)]


def laplacians(
    A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"], x: Float[AnyArray, "n d"], mother: Mother
) -> Float[AnyArray, "n k"]:
    """Laplacians in x of all heights: 2 h'(q) |A^{-1}|_F^2 + 4 h''(q) |A^{-T} z|^2."""
    inverse, d = _inverses(A), x.shape[1]
    z = _offsets(inverse, b, x)
    q = _square(z)

    def slope(q: AnyArray) -> AnyArray:
        return jax.jvp(lambda q: mother.height(q, d), (q,), (jnp.ones_like(q),))[1]

    first, second = jax.jvp(slope, (q,), (jnp.ones_like(q),))
    gradient = [functools.reduce(jnp.add, (inverse[:, s, e] * z[s] for s in range(d))) for e in range(d)]
    return 2 * first * jnp.sum(inverse**2, (1, 2)) + 4 * second * _square(gradient)


def evaluate(measure: SplatMeasure, x: Float[AnyArray, "n d"], rows: int | None = None) -> Float[AnyArray, "n p"]:
    """Values f_mu(x) (n, p), equal to `measure(x)`, in blocks of `rows` rows (default: chosen from k).

    Memory grows with n (d + p) and with one block, never with n k, for gradients too.
    """
    n, k = x.shape[0], measure.b.shape[0]
    block_rows = rows or max(1, _BLOCK_ENTRIES // k)
    inverse = _inverses(measure.A)
    live = measure.live[:, None]
    amplitude = jnp.where(live, measure.amplitude, 0.0)
    # Any origin would do, as the values do not depend on it, but digits do: it stands among the splats, so that one row
    # far away, as a code for what is missing is, costs no other row its own.
    origin = jax.lax.stop_gradient(jnp.sum(jnp.where(live, measure.b, 0.0), 0) / jnp.maximum(jnp.sum(live), 1))

    def values(block: Float[AnyArray, "rows d"]) -> Float[AnyArray, "rows p"]:
        columns = _heights(inverse, measure.b - origin, block - origin, measure.mother)
        return jnp.matmul(columns, amplitude, precision="highest")

    if n <= block_rows:
        return values(x)
    # The checkpoint makes the backward pass recompute a block instead of keeping all heights (n, k).
    return jax.lax.map(jax.checkpoint(values), _blocks(x, block_rows)).reshape(-1, amplitude.shape[1])[:n]


def sum_over_rows(
    summand: Callable[..., Float[AnyArray, "..."]], rows: tuple[Any, ...], k: int, entries: int = _SUM_ENTRIES
) -> Float[AnyArray, "..."]:
    """Sum of summand(*block) over blocks of rows of (x, weight, ...), pytrees of arrays (n, ...), for k splats.

    The summand must be 0 where the weight is. Memory grows with a block, never with n k, for gradients too.
    """
    n = rows[0].shape[0]
    count = -(-n // max(1, entries // k))
    if count == 1:
        return summand(*rows)

    size = -(-n // count)  # all blocks alike, so that little is padded
    x, weight, *rest = jax.tree.map(lambda leaf: _blocks(leaf, size), rows)
    weight = jnp.where(jnp.arange(weight.size).reshape(weight.shape) < n, weight, 0.0)
    blocks = x, weight, *rest

    def add(total: AnyArray, block: tuple[Any, ...]) -> tuple[AnyArray, None]:
        return total + jax.checkpoint(summand)(*block), None

    like = jax.eval_shape(summand, *jax.tree.map(lambda leaf: leaf[0], blocks))
    return jax.lax.scan(add, jnp.zeros(like.shape, like.dtype), blocks)[0]


def _blocks(leaf: Float[AnyArray, "n ..."], size: int) -> Float[AnyArray, "blocks size ..."]:
    """Blocks of rows; padding repeats the last row."""
    padded = jnp.pad(leaf, ((0, -leaf.shape[0] % size), *((0, 0),) * (leaf.ndim - 1)), mode="edge")
    return padded.reshape(-1, size, *leaf.shape[1:])


# Why z by products, and not q as features(x) @ coefficients, (d+1)(d+2)/2 columns: from an origin at distance R the
# error in z is eps R / l, that of the quadratic form eps (R / l)^2. Measured in float32 in the unit box with lengths
# 0.002, the worst error of a height is 1e-5 against 4e-3 (d = 1, 2) and 1e-2 (d = 5). Times in ms for value / value
# and gradient at n = 1e5, k = 50 in blocks on 2 cores, products against features: d = 1: 5 / 9, 6 / 15; d = 2: 12 / 25,
# 8 / 14; d = 5: 18 / 45, 13 / 22. One product for all axes at once is slower from d = 2: its result leaves the cache.
def _heights(
    inverse: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"], x: Float[AnyArray, "n d"], mother: Mother
) -> Float[AnyArray, "n k"]:
    return mother.height(_square(_offsets(inverse, b, x)), x.shape[1])


def _square(z: Sequence[Float[AnyArray, "n k"]]) -> Float[AnyArray, "n k"]:
    """Squared norms |z|^2, axis by axis: no array holds all of them."""
    return functools.reduce(jnp.add, map(jnp.square, z))


def _offsets(
    inverse: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"], x: Float[AnyArray, "n d"]
) -> list[Float[AnyArray, "n k"]]:
    """The axes of z = A^{-1} (x - b)."""
    z = []
    for axis in range(x.shape[1]):
        to_z = inverse[:, axis]  # (k, d), the row of each A^{-1} that gives this axis of z
        # Full precision: the default on GPUs multiplies float32 with 10-bit fractions.
        z.append(jnp.matmul(x, to_z.T, precision="highest") - jnp.sum(to_z * b, axis=1)[None, :])
    return z
