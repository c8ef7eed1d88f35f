"""The trend beneath the splats: none, a constant or a linear function, with a wide Gaussian prior."""

import jax.numpy as jnp
from jaxtyping import Float

from bayesplat._typing import AnyArray

TRENDS = ("none", "constant", "linear")

PRIOR_SD = 2.0
"""Prior sd of every trend coefficient, in sds of y (per range of the input, for slopes): wide, since y is centred."""


def trend_features(kind: str, x: Float[AnyArray, "n d"]) -> Float[AnyArray, "n t"]:
    """Columns of the trend at inputs on the unit box; slopes are measured from the box's middle."""
    n = x.shape[0]
    if kind == "none":
        return jnp.zeros((n, 0), x.dtype)
    one = jnp.ones((n, 1), x.dtype)
    return one if kind == "constant" else jnp.concatenate([one, x - 0.5], 1)
