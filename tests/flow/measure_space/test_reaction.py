"""Reaction: masses follow the Fisher-Rao rate, and what else a step keeps."""

import jax
import numpy as np
import pytest

from bayesplat.flow.measure_space import reaction
from bayesplat.flow.measure_space.variation import first_variation, fisher_rao_rate
from tests.flow.measure_space.cases import energy_of, masses, measure_of


@pytest.fixture(scope="module")
def energy_and_measure():
    return energy_of(p=2), measure_of(p=2)


@pytest.fixture(scope="module")
def reacted():
    return jax.jit(reaction.step, static_argnums=3)


@pytest.mark.parametrize("conserve", [True, False])
def test_reaction_follows_the_fisher_rao_rate(conserve, reacted, energy_and_measure, x64):
    energy, measure = energy_and_measure
    ahead, back = (masses(reacted(energy, measure, dt, conserve)) for dt in (1e-5, -1e-5))
    rates = {
        kind: fisher_rao_rate(measure, energy.x, energy.variation(measure), kind, energy.penalty)
        for kind in (True, False)
    }
    np.testing.assert_allclose((ahead - back) / 2e-5, rates[conserve], rtol=1e-7)
    assert not np.allclose((ahead - back) / 2e-5, rates[not conserve], rtol=1e-2)


def test_reaction_keeps_the_total_mass_only_if_told(reacted, energy_and_measure, x64):
    energy, measure = energy_and_measure
    for dt in (0.1, 3.0):
        held, free = (masses(reacted(energy, measure, dt, conserve)).sum() for conserve in (True, False))
        np.testing.assert_allclose(held, masses(measure).sum(), rtol=1e-14)
        assert abs(free - held) > 1e-3


def test_reaction_multiplies_masses_and_leaves_the_rest(reacted, energy_and_measure, x64):
    """m_i exp(-dt eta_i), along the same direction, however long the step."""
    energy, measure = energy_and_measure
    after = reacted(energy, measure, 3.0, False)
    eta = first_variation(measure, energy.x, energy.variation(measure), energy.penalty)
    np.testing.assert_allclose(after.v, measure.v * np.exp(-3.0 * np.asarray(eta))[:, None], rtol=1e-12)
    np.testing.assert_array_equal(after.A, measure.A)
    np.testing.assert_array_equal(after.b, measure.b)


def test_energy_falls_unless_steps_are_far_too_long(reacted, energy_and_measure, x64):
    energy, measure = energy_and_measure

    def history(dt):
        passed = [measure]
        for _ in range(10):
            passed.append(reacted(energy, passed[-1], dt, False))
        return [energy.value(one) for one in passed]

    assert (np.diff(history(0.1)) < 0).all()
    assert not (np.diff(history(10.0)) < 0).all()
