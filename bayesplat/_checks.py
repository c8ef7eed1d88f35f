"""Every refusal of the package: one clear sentence with what was expected, what came, and what to do; and warnings."""

import os
import warnings
from pathlib import Path
from typing import cast

import numpy as np

OWN = f"{Path(__file__).parent}{os.sep}"
"""What the paths of this package's files begin with."""


class BayesplatError(ValueError):
    """Input that bayesplat refuses; the message says what was expected, what came and what to do."""


def require(condition: bool, message: str) -> None:
    """Raise `BayesplatError` with `message` unless `condition` holds."""
    if not condition:
        raise BayesplatError(message)


def warn(message: str) -> None:
    """Warn of what is odd but can be done; Python shows the line that called the package, however deep this is."""
    warnings.warn(message, UserWarning, stacklevel=2, skip_file_prefixes=(OWN,))


def expect[T](value: object, kind: type[T], hint: str) -> T:
    """Return `value` if it is of this kind, or refuse it."""
    require(isinstance(value, kind), f"Expected {hint}, got {type(value).__name__}.")
    return cast(T, value)


def positive_int(name: str, value: object, least: int = 1) -> int:
    """Return `value` as an int of at least `least`, or refuse it."""
    require(
        _is_integer(value) and int(value) >= least,  # pyright: ignore[reportArgumentType]
        f"Expected `{name}` to be an integer of at least {least}, got {value!r}.",
    )
    return int(value)  # pyright: ignore[reportArgumentType]


def integer(name: str, value: object) -> int:
    """Return `value` as an int, or refuse it."""
    require(
        _is_integer(value),
        f"Expected `{name}` to be an integer, got {value!r}.",
    )
    whole = int(value)  # pyright: ignore[reportArgumentType]
    require(-(2**63) <= whole < 2**63, f"Expected `{name}` to have 64 bits at most, got {value!r}.")
    return whole


def positive(name: str, value: object) -> float:
    """Return `value` as a finite float above 0, or refuse it."""
    require(
        is_number(value) and bool(0 < value < np.inf),  # pyright: ignore[reportOperatorIssue]
        f"Expected `{name}` to be a number above 0, got {value!r}.",
    )
    return float(value)  # pyright: ignore[reportArgumentType]


def fraction(name: str, value: object) -> float:
    """Return `value` as a float strictly between 0 and 1, or refuse it."""
    require(
        is_number(value) and bool(0 < value < 1),  # pyright: ignore[reportOperatorIssue]
        f"Expected `{name}` strictly between 0 and 1, got {value!r}.",
    )
    return float(value)  # pyright: ignore[reportArgumentType]


def one_of(name: str, value: object, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of `choices`, or refuse it."""
    require(
        isinstance(value, str) and value in choices,
        f"Expected `{name}` to be one of {', '.join(map(repr, choices))}, got {value!r}.",
    )
    return str(value)


def _is_integer(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether a value is a real number, and no truth value."""
    return _is_integer(value) or isinstance(value, (float, np.floating))
