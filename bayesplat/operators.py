"""Linear operators between f and the data: y = L f + noise. Regression is the case L f = f (daniels2025splat).

All that the densities and the flow need of an operator is what it makes of one splat, and how that moves with it.
"""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from bayesplat._typing import AnyArray
from bayesplat.evaluate import heights, heights_along, laplacians
from bayesplat.mothers import Mother


class Operator(eqx.Module):
    """A linear operator, seen at the data points x."""

    @abstractmethod
    def columns(
        self, A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"], x: Float[AnyArray, "n d"], mother: Mother
    ) -> Float[AnyArray, "n k"]:
        """What the operator makes of splats of unit height."""

    def columns_along(
        self,
        A: Float[AnyArray, "k d d"],
        b: Float[AnyArray, "k d"],
        x: Float[AnyArray, "n d"],
        mother: Mother,
        directions: Float[np.ndarray, "c d d"],
    ) -> list[Float[AnyArray, "n k"]]:
        """Derivatives of the columns as splats move along A L_s, for every direction L_s, and then along A e_s."""
        dA, db = _ways(A, directions)
        return list(jax.vmap(lambda *way: jax.jvp(lambda A, b: self.columns(A, b, x, mother), (A, b), way)[1])(dA, db))

    def columns_across(
        self,
        A: Float[AnyArray, "k d d"],
        b: Float[AnyArray, "k d"],
        x: Float[AnyArray, "n d"],
        mother: Mother,
        directions: Float[np.ndarray, "c d d"],
        distance: Float[AnyArray, ""],
    ) -> list[Float[AnyArray, "n k"]]:
        """The same derivatives at a resolution: differences over moves by that distance, at most 0.8 along the frame.

        An edge between two data has no derivative there; moved by their distance, it passes one of them.
        """
        dA, db = _ways(A, directions)
        size = jnp.sqrt(jnp.sum(dA**2, (2, 3)) + jnp.sum(db**2, 2))
        half = jnp.minimum(0.5 * distance / size, 0.4)

        def slope(dA: AnyArray, db: AnyArray, half: AnyArray) -> AnyArray:
            ahead, behind = ((A + h[:, None, None] * dA, b + h[:, None] * db) for h in (half, -half))
            return (self.columns(*ahead, x, mother) - self.columns(*behind, x, mother)) / (2 * half)

        return list(jax.vmap(slope)(dA, db, half))

    @abstractmethod
    def trend(self, columns: Float[AnyArray, "n t"]) -> Float[AnyArray, "n t"]:
        """What the operator makes of the trend, given its values at the data."""


def _ways(
    A: Float[AnyArray, "k d d"], directions: Float[np.ndarray, "c d d"]
) -> tuple[Float[AnyArray, "r k d d"], Float[AnyArray, "r k d"]]:
    """How (A, b) move along A L_s, for every direction L_s, and then along A e_s."""
    (k, d, _), c = A.shape, len(directions)
    dA = jnp.concatenate([jnp.einsum("kab,sbc->skac", A, jnp.asarray(directions)), jnp.zeros((d, k, d, d))])
    db = jnp.concatenate([jnp.zeros((c, k, d)), jnp.moveaxis(jnp.asarray(A), 2, 0)])
    return dA, db


class Identity(Operator):
    """L f = f: plain regression."""

    def columns(
        self, A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"], x: Float[AnyArray, "n d"], mother: Mother
    ) -> Float[AnyArray, "n k"]:
        """Heights."""
        return heights(A, b, x, mother)

    def columns_along(
        self,
        A: Float[AnyArray, "k d d"],
        b: Float[AnyArray, "k d"],
        x: Float[AnyArray, "n d"],
        mother: Mother,
        directions: Float[np.ndarray, "c d d"],
    ) -> list[Float[AnyArray, "n k"]]:
        """Derivatives of heights, written out."""
        return heights_along(A, b, x, mother, directions)

    def trend(self, columns: Float[AnyArray, "n t"]) -> Float[AnyArray, "n t"]:
        """The trend itself."""
        return columns


class SecondOrder(Operator):
    """L f = diffusion * Laplacian of f + potential * f, with coefficients of their own at every data point."""

    diffusion: Float[AnyArray, " n"]
    potential: Float[AnyArray, " n"]

    def columns(
        self, A: Float[AnyArray, "k d d"], b: Float[AnyArray, "k d"], x: Float[AnyArray, "n d"], mother: Mother
    ) -> Float[AnyArray, "n k"]:
        """Laplacians and heights, weighted."""
        bent, value = laplacians(A, b, x, mother), heights(A, b, x, mother)
        return self.diffusion[:, None] * bent + self.potential[:, None] * value

    def trend(self, columns: Float[AnyArray, "n t"]) -> Float[AnyArray, "n t"]:
        """Constant and linear trends have no Laplacian."""
        return self.potential[:, None] * columns
