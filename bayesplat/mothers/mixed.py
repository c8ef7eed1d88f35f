"""Several mothers in one model, splat by splat in turn."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Int

from bayesplat._checks import BayesplatError, require
from bayesplat._typing import AnyArray, Float
from bayesplat.mothers.mother import Mother


@dataclasses.dataclass(frozen=True)
class Mixed(Mother):
    """Splats of several mothers in one model: splat i has mothers[i mod M], so f is a sum of M splat measures.

    For what no single shape has, such as jumps in a smooth curve: `Mixed((Gaussian(), Box(1024)))`. A mother listed
    twice has two shares of the splats. Functions of t are those of all splats: the last axis of t runs over them.
    """

    mothers: tuple[Mother, ...]
    """Two or more mothers, each for every M-th splat."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "mothers", tuple(self.mothers) if isinstance(self.mothers, list) else self.mothers)
        single = isinstance(self.mothers, tuple) and all(
            isinstance(one, Mother) and not isinstance(one, Mixed) for one in self.mothers
        )
        require(
            single and len(self.mothers) > 1,
            "Expected `mothers` to be two or more single mothers, as in (Gaussian(), Box(1024)), got "
            f"{self.mothers!r}.",
        )

    @property
    def kinds(self) -> tuple[Mother, ...]:
        """The mothers, in turn."""
        return self.mothers

    def in_slot[T](self, slot: Int[AnyArray, ""], f: Callable[[Mother], T]) -> T:
        """Value f(mother) for the mother of the splat in one slot, which may be traced."""
        return jax.lax.switch(slot % len(self.mothers), [functools.partial(f, one) for one in self.mothers])

    def profile(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """Profile of every splat's own mother, in units of z."""
        return self._each(t, lambda one, t: one.profile(t / one.radius(d) ** 2, d))

    def log_profile(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """Log profile of every splat's own mother, in units of z."""
        return self._each(t, lambda one, t: one.log_profile(t / one.radius(d) ** 2, d))

    def slope(self, t: Float[AnyArray, "..."], d: int) -> Float[AnyArray, "..."]:
        """Return d log_profile / dt."""
        return self._each(t, lambda one, t: one.slope(t / one.radius(d) ** 2, d) / one.radius(d) ** 2)

    def _each(self, t: Float[AnyArray, "..."], f: Callable[[Mother, AnyArray], AnyArray]) -> Float[AnyArray, "..."]:
        require(jnp.ndim(t) > 0, f"Expected splats along the last axis; one splat alone has no place in {self!r}.")
        turn = jnp.arange(t.shape[-1]) % len(self.mothers)
        # where a mother is not wanted it sees the centre: its tails may overflow, and so would a gradient through them
        parts = [jnp.where(turn == i, f(one, jnp.where(turn == i, t, 0.0)), 0.0) for i, one in enumerate(self.mothers)]
        return functools.reduce(jnp.add, parts)

    def radius(self, d: int) -> float:
        """One: every mother's own radius is part of its profile here."""
        return 1.0

    def has_covariance(self, d: int) -> bool:
        """Whether all of them have second moments on R^d."""
        return all(one.has_covariance(d) for one in self.mothers)

    def moment(self, m: int, d: int) -> float:
        """Raise BayesplatError: only a single mother has moments."""
        raise BayesplatError(f"Expected a single mother, got {self!r}; ask one of its `mothers`.")
