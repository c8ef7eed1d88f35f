"""Ranks of the truth are uniform for every prior and kind of noise, and planted faults are caught."""

import jax
import jax.numpy as jnp
import pytest
from statistical import P_VALUE
from statistical.sbc import CASES, levels, worst_p_value

from bayesplat.posterior import program

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("case", CASES)
def test_ranks_of_the_truth_are_uniform(case):
    assert worst_p_value(levels(case)) > P_VALUE


def test_a_wrong_noise_scale_is_caught():
    assert worst_p_value(levels("ridge", fault="noise scale")) < P_VALUE


def test_a_missing_jacobian_is_caught(monkeypatch):
    def constrain(table, position):
        return right(table, position)[0], jnp.zeros(())

    right = program.constrain
    monkeypatch.setattr(program, "constrain", constrain)
    # a compiled sampler of the same problem would go on with the right one
    jax.clear_caches()
    try:
        assert worst_p_value(levels("ridge")) < P_VALUE
    finally:
        jax.clear_caches()
