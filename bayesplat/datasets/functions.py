"""Noise-free test functions on the unit box, in plain NumPy.

Curves take t of any shape in [0, 1] and work element by element; surfaces take x of shape (..., 2) in the unit square.
"""

import numpy as np

from bayesplat._typing import Float

# donoho1994, table 1: where the jumps or bumps are, how high, how wide
POSITIONS = np.array([0.10, 0.13, 0.15, 0.23, 0.25, 0.40, 0.44, 0.65, 0.76, 0.78, 0.81])
JUMPS = np.array([4.0, -5.0, 3.0, -4.0, 5.0, -4.2, 2.1, 4.3, -3.1, 2.1, -4.2])
HEIGHTS = np.array([4.0, 5.0, 3.0, 4.0, 5.0, 4.2, 2.1, 4.3, 3.1, 5.1, 4.2])
WIDTHS = np.array([0.005, 0.005, 0.006, 0.01, 0.01, 0.03, 0.01, 0.01, 0.005, 0.008, 0.005])


def blocks(t: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Blocks: piecewise constant with 11 jumps.

    f(t) = sum_j h_j (1 + sign(t - t_j)) / 2. Source: donoho1994.
    """
    return (1 + np.sign(t[..., None] - POSITIONS)) / 2 @ JUMPS


def bumps(t: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Bumps: 11 sharp peaks.

    f(t) = sum_j h_j (1 + |t - t_j| / w_j)^-4. Source: donoho1994.
    """
    return (1 + np.abs(t[..., None] - POSITIONS) / WIDTHS) ** -4 @ HEIGHTS


def heavisine(t: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """HeaviSine: a sine wave with two jumps.

    f(t) = 4 sin(4 pi t) - sign(t - 0.3) - sign(0.72 - t). Source: donoho1994.
    """
    return 4 * np.sin(4 * np.pi * t) - np.sign(t - 0.3) - np.sign(0.72 - t)


def doppler(t: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Doppler: a wave that gets faster and smaller towards 0.

    f(t) = sqrt(t (1 - t)) sin(2 pi (1 + e) / (t + e)) with e = 0.05. Source: donoho1994.
    """
    return np.sqrt(t * (1 - t)) * np.sin(2 * np.pi * 1.05 / (t + 0.05))


def chirp(t: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Experiment E1: a wave that slows down to a stop at 1.

    f(t) = sin(20 pi t (2 - t)). Source: daniels2025splat.
    """
    return np.sin(20 * np.pi * t * (2 - t))


def sawtooth(t: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Experiment E1b: 6 teeth that rise from 0 to 1 and drop.

    f(t) = 6 t mod 1. Source: daniels2025splat (which only draws it; the formula is ours).
    """
    return 6 * t % 1


def surface(x: Float[np.ndarray, "*shape 2"]) -> Float[np.ndarray, "*shape"]:
    """Experiment E2: waves in both inputs, infinitely steep at the edge x1 = 0.

    f(x) = sin(3 pi sqrt(x1)) cos(3 pi x2). Source: daniels2025splat.
    """
    return np.sin(3 * np.pi * np.sqrt(x[..., 0])) * np.cos(3 * np.pi * x[..., 1])


def wave(x: Float[np.ndarray, "*shape 2"], eps: float = 0.1) -> Float[np.ndarray, "*shape"]:
    """Experiment E3: a plane wave along (1, 1) that solves eps^2 lap u + u - u^3 = 0 (steady Allen-Cahn).

    u(x) = tanh((x1 + x2 - 1) / (2 eps)). Source: daniels2025splat, whose code divides by sqrt(2) eps: no solution.
    """
    return np.tanh((x[..., 0] + x[..., 1] - 1) / (2 * eps))
