"""Numbers in words: as many digits as they deserve, and NaN as such."""

import math

import numpy as np

UNKNOWN = "not available"


def number(value: float, digits: int = 3) -> str:
    """A number to so many significant digits, without an exponent where it can be read without."""
    if not math.isfinite(value):
        return UNKNOWN if math.isnan(value) else str(value)
    rounded = float(f"{value:.{digits}g}")
    if rounded == 0 or 1e-4 <= abs(rounded) < 1e7:
        return np.format_float_positional(rounded, trim="-")
    return f"{rounded:g}"


def beside(value: float, scale: float, digits: int = 2) -> str:
    """A number to the precision at which `scale`, its spread or width, has so many significant digits."""
    if not (math.isfinite(value) and math.isfinite(scale) and scale > 0):
        return number(value)
    magnitude = math.floor(math.log10(scale))
    decimals = digits - 1 - magnitude
    if (abs(value) >= 1e7 and magnitude >= 5) or abs(value) >= 1e15 or decimals > 8:
        further = max(0, math.floor(math.log10(max(abs(value), scale))) - magnitude)
        return f"{value:.{digits + further}g}"
    return f"{round(value, decimals) + 0.0:.{max(decimals, 0)}f}"  # + 0.0: no minus zero


def percent(prob: float) -> str:
    """A probability: 90%, 97.5%."""
    return f"{100 * prob:.4g}%"


def interval(low: float, high: float, digits: int = 2) -> str:
    """Both ends, to so many digits of the width."""
    return " to ".join(beside(end, high - low, digits) for end in (low, high))


def count(n: int, noun: str) -> str:
    """A number of things, with their plural."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def listed(names: list[str]) -> str:
    """Names in a sentence: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
