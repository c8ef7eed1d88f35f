"""Aliases for shaped arrays.

Shape letters, everywhere: n data, d inputs, p outputs, k splats, s posterior draws, q coordinates of one splat's scale.
"""

from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

AnyArray = jax.Array | np.ndarray

type Sites = dict[str, AnyArray]
"""Values of the model's parameters, one array per named site."""

Key = jax.Array
"""A typed JAX random key."""

Device = Any
"""A JAX device: the library exports no name for its type."""

__all__ = ["AnyArray", "Bool", "Device", "Float", "Key", "Sites"]
