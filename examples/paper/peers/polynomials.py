"""Expansions in fixed functions of one input on [0, 1]: Chebyshev polynomials and Haar functions."""

import time
from collections.abc import Callable

import numpy as np
from numpy.polynomial import Chebyshev

from .fitted import Fitted


def chebyshev_interpolation(f: Callable[[np.ndarray], np.ndarray], degree: int) -> Fitted:
    """Polynomial through f at the degree + 1 Chebyshev nodes: the one peer that may ask f where it likes."""
    began = time.perf_counter()
    polynomial = Chebyshev.interpolate(f, degree, domain=[0, 1])
    return Fitted(lambda x: polynomial(x[:, 0]), degree + 1, time.perf_counter() - began, "sees f at its own nodes")


def chebyshev_least_squares(x: np.ndarray, y: np.ndarray, coefficients: int, *, seed: int = 0) -> Fitted:
    """Polynomial of degree `coefficients` - 1 with the least squared error on the data."""
    del seed  # nothing is drawn; all peers share one signature
    began = time.perf_counter()
    polynomial = Chebyshev.fit(x[:, 0], y, coefficients - 1, domain=[0, 1])
    return Fitted(lambda x: polynomial(x[:, 0]), coefficients, time.perf_counter() - began)


def haar(x: np.ndarray, y: np.ndarray, coefficients: int, *, seed: int = 0) -> Fitted:
    """The first Haar functions, coarse to fine, with the least squared error and, among equals, the least norm."""
    del seed
    began = time.perf_counter()
    weights = np.linalg.lstsq(haar_functions(x[:, 0], coefficients), y)[0]
    return Fitted(lambda x: haar_functions(x[:, 0], coefficients) @ weights, coefficients, time.perf_counter() - began)


def haar_functions(t: np.ndarray, count: int) -> np.ndarray:
    """Values (n, count) at t (n,): 1, then 2^(j/2) psi(2^j t - m) for j = 0, 1, ... and m = 0, ..., 2^j - 1.

    psi is 1 on [0, 1/2) and -1 on [1/2, 1).
    """
    index = np.arange(1, count)
    level = np.floor(np.log2(index))
    width = 2.0**-level
    offset = np.minimum(t, np.nextafter(1, 0))[:, None] / width - (index - 2**level)  # t = 1 is in the last interval
    sign = np.where(offset < 0.5, 1.0, -1.0) * ((offset >= 0) & (offset < 1))
    return np.column_stack([np.ones(len(t)), sign / np.sqrt(width)])
