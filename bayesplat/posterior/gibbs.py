"""The moves between two moves along gradients, in their order: teleports, slides and interweaving."""

from jaxtyping import Float

from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.model import Problem
from bayesplat.posterior.interweave import interweave
from bayesplat.posterior.slide import slide
from bayesplat.posterior.teleport import teleport


def gibbs(
    problem: Problem, values: Sites, teleport_key: Key, slide_key: Key, interweave_key: Key, pool: int
) -> tuple[Sites, Float[AnyArray, ""]]:
    """All sites after one round of exact moves with `pool` candidates, and the share of splats that teleported."""
    values, moved = teleport(problem, values, teleport_key, pool)
    values = slide(problem, values, slide_key, pool)
    return interweave(problem, values, interweave_key, pool), moved
