"""The paper's formulas against automatic derivatives of the energy, which know nothing of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from tables import MOTHERS

from bayesplat.flow.measure_space.functional import EmpiricalRisk, NegLogLikelihood
from bayesplat.flow.measure_space.variation import first_variation, fisher_rao_rate, gradient, potential
from bayesplat.measure import SplatMeasure
from bayesplat.mothers import Gaussian
from tests.flow.measure_space.cases import MASSIVE, K, N, energy_of, masses, measure_of

# Without jit: the operations are compiled once for all mothers.
mothers = pytest.mark.parametrize("mother", MOTHERS.values(), ids=MOTHERS.keys())
dimensions = pytest.mark.parametrize(("d", "p"), [(1, 1), (2, 2), (3, 1)])


def automatic(energy, measure):
    """Derivatives in v, lower-triangular A and b by autodiff of the energy."""

    def value(v, A, b):
        return energy.value(SplatMeasure(v, A, b, measure.live, measure.mother))

    dv, dA, db = jax.grad(value, (0, 1, 2))(*map(jnp.asarray, (measure.v, measure.A, measure.b)))
    return np.asarray(dv), np.tril(dA), np.asarray(db)


def written(energy, measure):
    found = gradient(measure, energy.x, energy.variation(measure), energy.penalty)
    return found.v, found.A, found.b


def agree(found, expected):
    return all(np.allclose(a, b, rtol=1e-10, atol=1e-13) for a, b in zip(found, expected, strict=True))


@mothers
@dimensions
def test_gradient_equals_autodiff(mother, d, p, x64):
    energy, measure = energy_of(d, p), measure_of(mother, d, p)
    assert agree(written(energy, measure), automatic(energy, measure))


def without_inverse(energy, measure, found):
    """The term A^{-T}, which comes from the determinant, left out."""
    v, A, b = found
    mass = np.sum(measure.v * potential(energy.variation(measure), energy.x, measure.A, measure.b, measure.mother), 1)
    return v, A + np.tril(mass[:, None, None] * np.swapaxes(np.linalg.inv(measure.A), 1, 2)), b


FAULTS = {
    "A^-T is missing": without_inverse,
    "b goes the other way": lambda energy, measure, found: (found[0], found[1], -found[2]),
    "penalty is missing in A": lambda energy, measure, found: (
        found[0],
        written(energy_of(penalty=0.0), measure)[1],
        0,
    ),
    "upper triangle": lambda energy, measure, found: (found[0], np.swapaxes(found[1], 1, 2), found[2]),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_planted_fault_in_the_gradient_is_caught(fault, x64):
    energy, measure = energy_of(), measure_of()
    assert not agree(fault(energy, measure, written(energy, measure)), automatic(energy, measure))


@mothers
def test_first_variation_is_the_derivative_along_the_mass(mother, x64):
    energy, measure = energy_of(p=2), measure_of(mother, p=2)
    dv, m = automatic(energy, measure)[0], masses(measure)
    eta = first_variation(measure, energy.x, energy.variation(measure), energy.penalty)
    np.testing.assert_allclose(m * eta, np.sum(measure.v * dv, axis=1) * (m > 0), rtol=1e-10)
    assert np.ptp(eta[:MASSIVE]) > 1e-3


def test_potential_at_a_candidate_is_the_derivative_of_its_birth(x64):
    energy, measure = energy_of(p=2, penalty=0.0), measure_of(p=2)
    born = np.array([[0.7, -1.3]])

    def value(mass):
        v = jnp.concatenate([measure.v[:-1], mass * born])
        return energy.value(SplatMeasure(v, measure.A, measure.b, np.ones(K, bool), measure.mother))

    g = potential(energy.variation(measure), energy.x, measure.A[-1:], measure.b[-1:], measure.mother)
    np.testing.assert_allclose(jax.grad(value)(0.0), np.sum(born * g), rtol=1e-10)


def test_dead_splats_have_no_gradient_and_massless_ones_only_in_their_mass(x64):
    v, A, b = written(energy_of(), measure_of())
    assert (v[-1] == 0).all()
    assert (A[MASSIVE:] == 0).all()
    assert (b[MASSIVE:] == 0).all()
    assert (np.abs(v[:-1]) > 1e-4).all()
    assert (np.abs(A[:MASSIVE]).max((1, 2)) > 1e-4).all()


@mothers
@pytest.mark.parametrize("conserve", [True, False])
def test_fisher_rao_rates_are_steepest_descent_in_the_masses(conserve, mother, x64):
    """dE/dt = -sum_i m_i (eta_i - mean)^2 by the chain rule through autodiff; the total is held only on request."""
    energy, measure = energy_of(p=2), measure_of(mother, p=2)
    dF, m = energy.variation(measure), masses(measure)
    rate = np.asarray(fisher_rao_rate(measure, energy.x, dF, conserve, energy.penalty))
    eta = np.asarray(first_variation(measure, energy.x, dF, energy.penalty))
    mean = np.average(eta, weights=m) if conserve else 0.0
    unit = measure.v / np.where(m > 0, m, 1.0)[:, None]
    slope = np.sum(automatic(energy, measure)[0] * unit * rate[:, None])
    np.testing.assert_allclose(slope, -np.sum(m * (eta - mean) ** 2), rtol=1e-10)
    assert (abs(rate.sum()) < 1e-15) == conserve
    assert (rate[MASSIVE:] == 0).all()


# ---------------------------------------------------------------- functionals

Y = np.random.default_rng(2).normal(size=(N, 2))
F = np.random.default_rng(3).normal(size=(N, 2))


@pytest.mark.parametrize("functional", [EmpiricalRisk(Y), NegLogLikelihood(Y, 0.3)])
def test_variation_is_the_derivative_of_the_value(functional, x64):
    np.testing.assert_allclose(functional.variation(F), jax.grad(functional.value)(jnp.asarray(F)), rtol=1e-10)


def test_values_of_functionals(x64):
    np.testing.assert_allclose(EmpiricalRisk(Y).value(F), np.mean(np.sum((F - Y) ** 2, axis=1)) / 2, rtol=1e-12)
    np.testing.assert_allclose(NegLogLikelihood(Y, 0.3).value(F), -stats.norm.logpdf(Y, F, 0.3).sum(), rtol=1e-12)


def test_penalty_counts_the_heights_of_live_splats(x64):
    measure = measure_of(p=2)
    heights = np.linalg.norm(measure.amplitude, axis=1)[:-1].sum()
    difference = energy_of(p=2, penalty=0.5).value(measure) - energy_of(p=2, penalty=0.0).value(measure)
    np.testing.assert_allclose(difference, 0.5 * heights, rtol=1e-12)


# ---------------------------------------------------------------- memory


def largest(jaxpr):
    """Entries of the largest array that a computation makes."""
    sizes = [np.prod(out.aval.shape) for line in jaxpr.eqns for out in line.outvars]
    inside = [part for line in jaxpr.eqns for part in jax.tree.leaves(line.params)]
    jaxprs = [getattr(part, "jaxpr", part) for part in inside if hasattr(part, "jaxpr") or hasattr(part, "eqns")]
    return max([*sizes, *map(largest, jaxprs)], default=0)


def test_no_array_is_larger_than_n_k_d(x64):
    n, d, p = 50, 3, 1
    measure, x, dF = measure_of(Gaussian(), d, p), np.zeros((n, d)), np.zeros((n, p))
    assert largest(jax.make_jaxpr(gradient)(measure, x, dF).jaxpr) <= n * K * d
    outer = jax.make_jaxpr(lambda z: z[..., None] * z[..., None, :])(np.zeros((n, K, d)))
    assert largest(outer.jaxpr) > n * K * d
