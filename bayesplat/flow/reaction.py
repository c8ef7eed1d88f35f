"""Reaction (the Fisher-Rao part): masses relax. With a conjugate energy, all the way: the exact conditional mean."""

from jaxtyping import Bool, Float

from bayesplat import collapsed
from bayesplat._typing import AnyArray
from bayesplat.flow.energy import Energy
from bayesplat.flow.position import Position


def exact(
    energy: Energy, position: Position, live: Bool[AnyArray, " k"]
) -> tuple[Float[AnyArray, " k"], Float[AnyArray, " t"]]:
    """Amplitudes of the splats and trend coefficients that an infinitely fast reaction ends at: E[a | y, A, b]."""
    coefficients = collapsed.mean_coefficients(energy.system(position, live))
    k = live.shape[0]
    return coefficients[:k], coefficients[k:]
