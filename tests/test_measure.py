import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tables import MIXED, MOTHERS

from bayesplat.flow.measure_space import variation
from bayesplat.measure import SplatMeasure
from bayesplat.mothers import Box, Gaussian, Mixed, StudentT

mothers = pytest.mark.parametrize("mother", MOTHERS.values(), ids=MOTHERS.keys())


def random_measure(mother, d=2, k=5, p=2, dead=1, seed=0):
    """Measure of k splats, the last `dead` of them dead, as NumPy arrays of the current precision."""
    rng, real = np.random.default_rng(seed), jnp.zeros(()).dtype
    A = 0.1 * np.tril(rng.normal(size=(k, d, d)), -1) + 0.4 * rng.uniform(0.5, 1.5, size=(k, d, 1)) * np.eye(d)
    arrays = (a.astype(real) for a in (rng.normal(size=(k, p)), A, rng.uniform(size=(k, d))))
    return SplatMeasure(*arrays, live=np.arange(k) < k - dead, mother=mother)


def points(n, d, seed=1):
    return np.random.default_rng(seed).uniform(size=(n, d)).astype(jnp.zeros(()).dtype)


def moments(mu):
    """Mass, mean and covariance of one-output splats as a mixture with weights v."""
    v, A, b = (np.asarray(a)[np.asarray(mu.live)] for a in (mu.v[:, 0], mu.A, mu.b))
    mean = v @ b / v.sum()
    second = np.einsum("k,kef->ef", v, A @ A.transpose(0, 2, 1) + b[:, :, None] * b[:, None, :]) / v.sum()
    return v.sum(), mean, second - np.outer(mean, mean)


@mothers
def test_values_follow_the_definition(mother, x64):
    mu, x = random_measure(mother), points(4, 2)
    density = jax.jit(mother.density)
    expected = np.zeros((4, 2))
    for v, A, b in zip(mu.v[:4], mu.A, mu.b, strict=False):
        z = (x - b) @ np.linalg.inv(A).T
        expected += np.outer([density(row) / np.linalg.det(A) for row in z], v)
    np.testing.assert_allclose(mu(x), expected, rtol=1e-10)


@mothers
def test_gradients_equal_autodiff(mother, x64):
    mu, x = random_measure(mother), points(5, 2)
    autodiff = jax.vmap(jax.jacrev(lambda point: mu(point[None])[0]))
    np.testing.assert_allclose(*jax.jit(lambda x: (mu.gradient(x), autodiff(x)))(x), rtol=1e-9, atol=1e-12)


def test_gradients_of_sharp_boxes_are_finite_everywhere(x64):
    """Beyond such a box its height has underflowed and the slope of the logarithm overflows."""
    mother = Mixed((Gaussian(), Box(1024)))
    mu = SplatMeasure.from_amplitude(jnp.ones((2, 1)), 0.05 * jnp.ones((2, 1, 1)), jnp.array([[0.2], [0.6]]), mother)
    x = jnp.array([[0.2], [0.4], [0.62], [0.9]])
    autodiff = jax.vmap(jax.jacrev(lambda point: mu(point[None])[0]))
    np.testing.assert_allclose(*jax.jit(lambda x: (mu.gradient(x), autodiff(x)))(x), rtol=1e-9, atol=1e-12)
    flow = variation.gradient(dataclasses.replace(mu, mother=Box(1024)), x, jnp.ones((4, 1)))
    assert all(np.isfinite(leaf).all() for leaf in (flow.v, flow.A, flow.b))


def test_a_measure_of_mixed_mothers_is_the_sum_of_measures_of_one(x64):
    """Every third splat has the first mother, and so on: values, slopes, curvature and mass."""
    mu, x = random_measure(MIXED, k=8, dead=2), points(6, 2)
    parts = [
        SplatMeasure(*(leaf[kind::3] for leaf in (mu.v, mu.A, mu.b, mu.live)), mother=mother)
        for kind, mother in enumerate(MIXED.mothers)
    ]
    for look in (lambda mu: mu(x), lambda mu: mu.gradient(x), lambda mu: mu.laplacian(x), lambda mu: mu.mass):
        np.testing.assert_allclose(look(mu), sum(look(part) for part in parts), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(mu.amplitude[2::3], parts[2].amplitude, rtol=1e-12)
    again = SplatMeasure.from_amplitude(mu.amplitude, mu.A, mu.b, MIXED, mu.live)
    np.testing.assert_allclose(again.v, mu.v, rtol=1e-12)


def test_laplacian_of_a_gaussian_splat(x64):
    length, x = 0.3, points(6, 3)
    mu = SplatMeasure.from_amplitude(np.ones((1, 1)), length * np.eye(3)[None], np.zeros((1, 3)), Gaussian())
    q = np.sum(x**2, axis=1) / length**2
    np.testing.assert_allclose(
        jax.jit(lambda x: mu.laplacian(x))(x)[:, 0], np.exp(-q / 2) * (q - 3) / length**2, rtol=1e-10
    )


@mothers
def test_amplitudes_are_heights_at_the_centres(mother, x64):
    mu = random_measure(mother, k=1, dead=0)
    np.testing.assert_allclose(mu(mu.b), mu.amplitude, rtol=1e-9)
    again = SplatMeasure.from_amplitude(mu.amplitude, mu.A, mu.b, mother)
    np.testing.assert_allclose(again.v, mu.v, rtol=1e-12)
    assert again.live.all()


def test_mass_is_the_integral(x64):
    mu = random_measure(Gaussian(), d=1)
    x, step = np.linspace(-10, 10, 2001, retstep=True)
    np.testing.assert_allclose(step * np.sum(mu(x[:, None]), axis=0), mu.mass, rtol=1e-9)


def test_order_does_not_matter():
    mu, x = random_measure(Gaussian()), points(5, 2)
    shuffled = mu.permute(np.array([3, 4, 0, 2, 1]))
    assert not shuffled.live[1]
    np.testing.assert_allclose(shuffled(x), mu(x), rtol=1e-4, atol=1e-6)


def test_affine_maps_of_space_carry_the_measure(x64):
    mu, x = random_measure(StudentT(), p=1), points(5, 2)
    M, shift = np.array([[2.0, 0.0], [0.7, 0.5]]), np.array([1.0, -3.0])
    moved = SplatMeasure(mu.v, M @ mu.A, mu.b @ M.T + shift, mu.live, mu.mother)
    np.testing.assert_allclose(moved(x @ M.T + shift), mu(x) / np.linalg.det(M), rtol=1e-10)


def test_dead_splats_count_for_nothing():
    mu, x = random_measure(Gaussian()), points(5, 2)
    assert (mu.heights(x)[:, -1] == 0).all()
    gradient = jax.grad(lambda v: SplatMeasure(v, mu.A, mu.b, mu.live, mu.mother)(x).sum())(jnp.asarray(mu.v))
    np.testing.assert_array_equal(gradient[-1], 0.0)


@pytest.mark.parametrize("gap", [0.1, 0.9])
def test_split_keeps_moments_and_merge_undoes_it(gap, x64):
    mu = random_measure(Gaussian(), p=1, k=3)
    mu = SplatMeasure(np.abs(mu.v), mu.A, mu.b, mu.live, mu.mother)
    split = mu.split(0, 2, np.array([1.0, 2.0]), gap)
    assert split.live.all()
    for before, after in zip(moments(mu), moments(split), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-10)
    merged = split.merge(0, 2)
    np.testing.assert_array_equal(merged.live, mu.live)
    np.testing.assert_allclose(merged.A[0], mu.A[0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(merged(mu.b), mu(mu.b), rtol=1e-10)


@mothers
def test_split_keeps_the_function_as_the_gap_closes(mother, x64):
    mu, x = random_measure(mother, k=2), points(20, 2)
    errors = [np.abs(mu.split(0, 1, np.array([1.0, 1.0]), gap)(x) - mu(x)).max() for gap in (1e-1, 1e-3)]
    assert 0 < errors[1] < errors[0] / 50


def test_merge_matches_moments(x64):
    mu = random_measure(Gaussian(), p=1, k=3, dead=0)
    mu = SplatMeasure(np.abs(mu.v), mu.A, mu.b, mu.live, mu.mother)
    merged = mu.merge(0, 2)
    np.testing.assert_array_equal(merged.live, [True, True, False])
    for before, after in zip(moments(mu), moments(merged), strict=True):
        np.testing.assert_allclose(after, before, rtol=1e-10)


def test_merging_a_cancelling_pair_leaves_no_mass_and_no_nan():
    for mass in (1.0, 0.0):
        v = np.array([[mass], [-mass]], np.float32)
        mu = SplatMeasure(
            v, np.ones((2, 1, 1), np.float32), np.eye(2, 1, dtype=np.float32), np.ones(2, bool), Gaussian()
        )
        merged = mu.merge(0, 1)
        np.testing.assert_array_equal(merged.mass, 0.0)
        np.testing.assert_allclose(merged.b[0], 0.5)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(merged))


def test_measures_are_pytrees():
    mu, x = random_measure(Gaussian(), p=1), points(3, 2)
    leaves, structure = jax.tree.flatten(mu)
    assert eqx.tree_equal(jax.tree.unflatten(structure, leaves), mu)
    np.testing.assert_allclose(jax.jit(lambda mu, x: mu(x))(mu, x), mu(x), rtol=1e-5)
    scaled = jax.vmap(lambda c: eqx.tree_at(lambda mu: mu.v, mu, c * mu.v))(jnp.arange(3.0))
    np.testing.assert_allclose(jax.jit(jax.vmap(lambda mu: mu(x)))(scaled)[2], 2 * mu(x), rtol=1e-4)
    gradient = eqx.filter_jit(eqx.filter_grad(lambda mu: mu(x).sum()))(jax.tree.map(jnp.asarray, mu))
    assert np.isfinite(gradient.A).all()


def test_repr_reads_well_and_never_fails():
    mu = random_measure(StudentT(), p=1)
    assert repr(mu).startswith("SplatMeasure: 4 live splats of 5, d = 2, p = 1, StudentT(df=5.0) mother, mass ")
    assert "Gaussian mother" in repr(random_measure(Gaussian()))
    assert jax.eval_shape(lambda mu: jnp.zeros(len(repr(mu))), mu).size > 0
    assert repr(jax.tree.map(lambda leaf: None, mu)) == "SplatMeasure(StudentT(df=5.0))"
