"""The checks themselves: right draws pass, planted faults fail, and p-values are honest."""

import numpy as np
from scipy import stats
from statistical import P_VALUE, law_p_value, mean_p_value, share_p_value

DRAWS = np.random.default_rng(0).normal(size=(1000, 3))
SHIFT = np.array([0.0, 0.0, 0.3])


def test_means():
    assert mean_p_value(DRAWS, 0.0) > P_VALUE
    assert mean_p_value(DRAWS + SHIFT, 0.0) < P_VALUE
    assert mean_p_value(DRAWS + SHIFT, 0.0, error=0.3) > P_VALUE


def test_shares():
    assert share_p_value(DRAWS > 1, stats.norm.sf(1)) > P_VALUE
    assert share_p_value(DRAWS > 1, stats.norm.sf(1.4)) < P_VALUE


def test_laws():
    assert law_p_value(DRAWS, stats.norm.cdf) > P_VALUE
    assert law_p_value(1.2 * DRAWS, stats.norm.cdf) < P_VALUE


def test_p_values_of_right_draws_are_uniform():
    rng = np.random.default_rng(1)
    p = [mean_p_value(rng.normal(size=200), 0.0) for _ in range(500)]
    assert law_p_value(p, stats.uniform.cdf) > P_VALUE
