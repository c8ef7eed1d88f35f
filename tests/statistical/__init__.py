"""What statistical tests share: seeds are fixed, there is one bound on p-values, and every test has a planted fault."""

import numpy as np
from scipy import special, stats

P_VALUE = 1e-4
"""A check passes while its p-value stays above this, and must fall below it once a fault is planted."""


def mean_p_value(draws, expected, error=0.0):
    """P-value of the means of `draws` (s, ...) against `expected`, known up to `error`; Bonferroni over entries."""
    draws = np.asarray(draws)
    sd = np.sqrt(draws.var(0, ddof=1) / len(draws) + np.square(error))
    p = 2 * stats.norm.sf(np.abs(draws.mean(0) - expected) / sd)
    return np.min(p) * np.size(p)


def batch_means(found, length=100):
    """Means over stretches far longer than the sampler's memory: nearly independent."""
    chains, draws, q = found.shape
    return found.reshape(chains * draws // length, length, q).mean(1)


def expectation(log_weights, found):
    """Means (q,) of found (s, q) under weights (s,), and their standard errors; not from a handful of draws."""
    weights = special.softmax(log_weights)
    assert 1 / np.sum(weights**2) > 1000  # or the reference is no reference
    mean = weights @ found
    return mean, np.sqrt(weights**2 @ (found - mean) ** 2)


def share_p_value(inside, expected):
    """P-value of the share of True in `inside` (s, ...) against `expected`; Bonferroni over entries."""
    inside = np.asarray(inside)
    expected = np.broadcast_to(expected, inside.shape[1:])
    counts = inside.sum(0)
    p = [
        stats.binomtest(int(count), len(inside), float(share)).pvalue
        for count, share in zip(counts.ravel(), expected.ravel(), strict=True)
    ]
    return min(p) * len(p)


def law_p_value(draws, cdf):
    """Kolmogorov-Smirnov p-value of independent scalar draws against a distribution function."""
    return stats.kstest(np.ravel(draws), cdf).pvalue
