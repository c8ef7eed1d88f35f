"""Residuals of neighbours: alike where f misses structure, and not by chance, whatever the inputs."""

import numpy as np
import pytest

from bayesplat import symptoms
from bayesplat.symptoms import FEWEST, likeness

N = 60


def inputs(d, seed=0):
    return np.random.default_rng(seed).uniform(size=(N, d))


@pytest.mark.parametrize("d", [1, 2, 5])
def test_residuals_that_know_nothing_of_each_other_are_as_seldom_alike_as_normal_scores_would(d, monkeypatch):
    monkeypatch.setattr(symptoms, "ALIKE", 2.0)  # which chance exceeds often enough to be counted
    rng = np.random.default_rng(1)
    found = [likeness(rng.standard_t(2, size=N), inputs(d, seed)) for seed in range(1000)]
    assert 10 < np.count_nonzero(found) < 36  # 23, and three standard errors either way


@pytest.mark.parametrize("d", [1, 2])
def test_structure_that_f_misses_makes_them_alike_in_any_units(d):
    x = inputs(d)
    left = np.sin(15 * x).sum(1) + 0.1 * np.random.default_rng(2).normal(size=N)
    found = likeness(left, x)
    assert 0.3 < found < 1
    assert likeness(1e9 * left, 5.0 + 1e-3 * x) == pytest.approx(found)
    assert likeness(-left, x) == pytest.approx(found)


def test_alternating_residuals_are_not_alike():
    x = np.linspace(0, 1, N)[:, None]
    assert likeness((-1.0) ** np.arange(N), x) == 0


def test_data_in_one_place_are_neighbours():
    x = np.repeat(np.linspace(0, 1, N // 4), 4)[:, None]
    assert likeness(np.repeat(np.random.default_rng(3).normal(size=N // 4), 4), x) > 0.9
    assert likeness(np.random.default_rng(4).normal(size=N), np.zeros((N, 1))) == 0


def test_of_few_data_and_of_no_numbers_nothing_is_said():
    few = np.linspace(0, 1, FEWEST - 1)
    assert likeness(few, few[:, None]) == 0
    more = np.linspace(0, 1, FEWEST)
    assert likeness(more, more[:, None]) > 0.5
    assert likeness(np.append(more[1:], np.nan), more[:, None]) == 0
    assert likeness(np.ones(FEWEST), more[:, None]) == 0
