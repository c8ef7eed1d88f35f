"""One small problem for all tests of the flow on measures: NumPy arrays, so that they can be made at any precision."""

import functools

import numpy as np

from bayesplat.flow.measure_space.functional import EmpiricalRisk, Energy
from bayesplat.measure import SplatMeasure
from bayesplat.mothers import Gaussian

N, K = 12, 6
GAUSSIAN = Gaussian()
MASSIVE = K - 2
"""Splats with mass come first, then one without, then a dead one."""


@functools.cache
def measure_of(mother=GAUSSIAN, d=2, p=1):
    """Measure of K splats in the unit box."""
    rng = np.random.default_rng(0)
    A = 0.1 * np.tril(rng.normal(size=(K, d, d)), -1) + 0.4 * rng.uniform(0.5, 1.5, size=(K, d, 1)) * np.eye(d)
    v = rng.normal(size=(K, p)) * (np.arange(K) != MASSIVE)[:, None]
    return SplatMeasure(v, A, rng.uniform(size=(K, d)), np.arange(K) < K - 1, mother)


@functools.cache
def energy_of(d=2, p=1, penalty=0.03):
    """Empirical risk, with a penalty on heights, of data that `measure_of` fits if doubled, ripples aside."""
    rng = np.random.default_rng(1)
    x = rng.uniform(size=(N, d))
    ripples = 0.3 * np.sin(5 * x.sum(1, keepdims=True) + np.arange(p))
    return Energy(EmpiricalRisk(2.0 * np.asarray(measure_of(GAUSSIAN, d, p)(x)) + ripples), x, penalty)


def masses(measure):
    """Euclidean norms of the v of live splats, by NumPy."""
    return np.linalg.norm(np.where(np.asarray(measure.live)[:, None], measure.v, 0.0), axis=1)
