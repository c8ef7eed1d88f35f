"""Ranks of the truth are uniform for every prior and kind of noise, and planted faults are caught."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from statistical import P_VALUE
from statistical.sbc import CASES, GUIDED, GUIDES, bias_p_value, by_svi, levels, worst_p_value

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


@pytest.mark.parametrize("guide", GUIDES)
@pytest.mark.parametrize("case", GUIDED)
def test_what_is_off_in_approximations_is_their_width_and_not_their_place(case, guide):
    """Variational calibration: f is as often above as below; bands and noise are judged in docs/calibration.md."""
    f = levels(case, sample=by_svi(guide))[:, :3]
    assert bias_p_value(f) > P_VALUE
    assert bias_p_value(np.sqrt(f)) < P_VALUE
