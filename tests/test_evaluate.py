import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tables import MIXED, MOTHERS, SCALES

from bayesplat.evaluate import evaluate, heights, heights_along, sum_over_rows
from bayesplat.measure import SplatMeasure
from bayesplat.mothers import Gaussian

ALL = {**MOTHERS, "mixed": MIXED}
mothers = pytest.mark.parametrize("mother", ALL.values(), ids=ALL.keys())

# Both paths lose a few eps R / l: z is a difference of terms of size R / l, here at most 1 / 0.15 = 7, its square
# doubles the loss, and 6 splats and up to 3 axes are summed. 500 eps leaves room; a wrong term is off by 1e-1.
ROUNDING = 500


def random_measure(mother, d, dtype, k=6, p=2):
    rng = np.random.default_rng(d)
    A = 0.1 * np.tril(rng.normal(size=(k, d, d)), -1) + rng.uniform(0.15, 0.5, size=(k, d, 1)) * np.eye(d)
    amplitude, A, b = (jnp.asarray(a, dtype) for a in (rng.normal(size=(k, p)), A, rng.uniform(size=(k, d))))
    return SplatMeasure.from_amplitude(amplitude, A, b, mother, np.arange(k) != 2)


def points(n, d, dtype):
    return jnp.asarray(np.random.default_rng(7).uniform(size=(n, d)), dtype)


@mothers
def test_fast_heights_equal_the_reference(mother, dtype):
    mu, x = random_measure(mother, 3, dtype), points(30, 3, dtype)
    fast, dense = jax.jit(lambda mu, x: (heights(mu.A, mu.b, x, mother), mu.heights(x)))(mu, x)
    assert fast.dtype == dtype
    fast = np.where(mu.live[None], fast, 0.0)
    np.testing.assert_allclose(fast, dense, rtol=0, atol=ROUNDING * jnp.finfo(dtype).eps)


# Mothers enter by their heights alone, so three kinds stand for all: smooth, with a cusp, with compact support.
@pytest.mark.parametrize(
    ("name", "d"), [("gaussian", 1), ("gaussian", 3), ("laplace", 2), ("wendland", 2), ("mixed", 2)]
)
def test_fast_values_and_gradients_equal_the_reference(name, d, dtype):
    mu, x = random_measure(ALL[name], d, dtype), points(30, d, dtype)
    weights = jnp.sin(jnp.arange(60, dtype=dtype)).reshape(30, 2)

    def loss(values, v, A, b, x):
        f = values(SplatMeasure(v, A, b, mu.live, mu.mother), x)
        return jnp.sum(weights * f), f

    @jax.jit
    def results(*arrays):
        dense, blocks = (
            jax.grad(loss, (1, 2, 3, 4), has_aux=True)(values, *arrays)
            for values in (lambda mu, x: mu(x), lambda mu, x: evaluate(mu, x, rows=7))
        )
        return dense, blocks, loss(evaluate, *arrays)[1]

    dense, blocks, whole = results(mu.v, mu.A, mu.b, x)
    pairs = [*zip(jax.tree.leaves(blocks), jax.tree.leaves(dense), strict=True), (whole, dense[1])]
    for found, expected in pairs:
        size = float(np.abs(expected).max())
        np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING * jnp.finfo(dtype).eps * size)


def test_an_origin_far_away_costs_no_digits(x64):
    """Moved by a number that leaves all differences as they were: without an origin of its own it is 1e-6 off."""
    mu, x = random_measure(ALL["gaussian"], 2, float), points(30, 2, float)
    b, x = (jnp.round(a * 2**10) / 2**10 for a in (mu.b, x))
    here, there = (SplatMeasure(mu.v, mu.A, b + far, mu.live, mu.mother) for far in (0.0, 2.0**30))
    np.testing.assert_allclose(evaluate(there, x + 2.0**30), evaluate(here, x), rtol=0, atol=1e-12)


def test_a_row_far_away_costs_the_others_no_digits(dtype):
    """As a code for what is missing is: one such row must not change the rest of its block."""
    mu, x = random_measure(ALL["gaussian"], 2, dtype), points(30, 2, dtype)
    far = np.asarray(evaluate(mu, jnp.concatenate([x, jnp.full((1, 2), 1e15, dtype)])))
    np.testing.assert_array_equal(far[:-1], evaluate(mu, x))
    np.testing.assert_array_equal(far[-1], 0.0)


@mothers
@pytest.mark.parametrize("d", [1, 2, 3])
def test_heights_along_the_frame_equal_autodiff(mother, d, x64):
    """Along A L_s, for the directions of every family, and along A e_s."""
    mu, x = random_measure(mother, d, float), points(10, d, float)
    directions = np.concatenate([scale.directions(d) for scale in SCALES.values()])
    relative = np.concatenate([directions, np.zeros((d, d, d))])
    shift = np.concatenate([np.zeros((len(directions), d)), np.eye(d)])

    @jax.jit
    def look(A, b):
        def along(L, e):
            return jax.jvp(lambda A, b: heights(A, b, x, mother), (A, b), (A @ L, A @ e))[1]

        return jax.vmap(along)(relative, shift), jnp.stack(heights_along(A, b, x, mother, directions))

    expected, found = look(mu.A, mu.b)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert np.abs(expected).max((1, 2)).min() > 0.1


# At most 7 rows a block, so 26 rows end in a block with padding, whose rows must not count.
def test_sums_in_blocks_equal_sums_at_once(x64):
    mu, x = random_measure(Gaussian(), 2, jnp.float64), points(26, 2, jnp.float64)
    weight, own = jnp.linspace(0.5, 2.0, 26), {"shift": jnp.linspace(0.0, 1.0, 26)[:, None]}

    def value(b, entries):
        def some(x, weight, own):
            return jnp.sum(((heights(mu.A, b, x, mu.mother) + own["shift"]) * weight[:, None]) ** 2, 0)

        return jnp.sum(jnp.sin(sum_over_rows(some, (x, weight, own), 6, entries)))

    blocks, whole = (jax.jit(jax.value_and_grad(value), static_argnums=1)(mu.b, size) for size in (7 * 6, 10**6))
    np.testing.assert_allclose(blocks[0], whole[0], rtol=1e-13)
    np.testing.assert_allclose(blocks[1], whole[1], rtol=0, atol=1e-12)


def test_numpy_leaves_are_evaluated():
    mu = jax.tree.map(np.asarray, random_measure(Gaussian(), 2, jnp.float32))
    x = np.asarray(points(20, 2, jnp.float32))
    np.testing.assert_allclose(evaluate(mu, x, rows=6), mu(x), atol=1e-5)


def test_narrow_splats_keep_their_digits_in_float32():
    """Lengths 0.002 in the unit box: eps R / l = 3e-5, while eps (R / l)^2, the loss of a quadratic form, is 1.5e-2."""
    k, d, rng = 50, 2, np.random.default_rng(0)
    b = rng.uniform(size=(k, d)).astype(np.float32)
    x = (b[rng.integers(k, size=500)] + 0.002 * rng.normal(size=(500, d))).astype(np.float32)
    A = np.broadcast_to(np.float32(0.002) * np.eye(d, dtype=np.float32), (k, d, d))
    q = np.sum(((x[:, None, :].astype(float) - b) / np.float64(np.float32(0.002))) ** 2, axis=2)
    assert np.abs(heights(A, b, x, Gaussian()) - np.exp(-q / 2)).max() < 1e-4


N, K = 1_000_000, 200
UNBLOCKED = 4 * N * K  # bytes of one (n, k) array of heights in float32


def temporary_bytes(values, d, gradient):
    """Bytes that the compiled function needs beside its inputs and outputs; nothing is allocated."""

    def function(v, A, b, x):
        return values(SplatMeasure(v, A, b, np.ones(K, bool), Gaussian()), x)

    def slopes(*arrays):
        return jax.grad(lambda *arrays: jnp.sum(jnp.square(function(*arrays))), (0, 1, 2))(*arrays)

    shapes = ((K, 1), (K, d, d), (K, d), (N, d))
    abstract = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    compiled = jax.jit(slopes if gradient else function).lower(*abstract).compile()
    return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("d", [1, 3])
def test_memory_is_bounded(d, gradient):
    assert temporary_bytes(evaluate, d, gradient) < UNBLOCKED / 8
    assert temporary_bytes(lambda mu, x: heights(mu.A, mu.b, x, mu.mother) @ mu.amplitude, d, gradient) > UNBLOCKED / 2
