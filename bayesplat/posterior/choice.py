"""Which sampler and which approximation a size can afford."""

MOST_WORK = 25_000_000
"""Largest n k^2 for NUTS by `method="auto"`.

A gradient costs about 1 ms for each million of n k^2 and core, a draw 64 gradients: beyond this, four chains of a
thousand steps take more than an hour on two cores. Variational inference needs 16,000 gradients in all.
"""

MOST_POPULATION_WORK = 10_000_000
"""Largest n k^3 for SMC: teleports make k small factorisations for each of 60 moves of each of 2000 draws."""

SHORT, LONG = 6, 8
"""Depths of trajectories, 63 and 255 gradients."""

MOST_SITES = 2000
"""Most unconstrained coordinates for a Gaussian with correlations by `guide="auto"`."""

MOST_CURVATURES = 5000
"""Most unconstrained coordinates for Laplace's method, whose matrix of second derivatives has their square."""


def choose(n: int, k: int) -> str:
    """NUTS as long as it ends within about an hour, else "svi"."""
    return "svi" if takes_hours("nuts", n, k) else "nuts"


def takes_hours(method: str, n: int, k: int) -> bool:
    """Whether a method is advised against for this size."""
    return {"nuts": n * k**2 > MOST_WORK, "smc": n * k**3 > MOST_POPULATION_WORK}.get(method, False)


def choose_depth(n: int, k: int, d: int) -> int:
    """Depth of NUTS's trajectories: long ones with more than one input, as long as that ends within about an hour.

    Along one input teleports carry splats, and longer trajectories buy little; over more they seldom find a better
    place, and gradients have to do the work.
    """
    return LONG if d > 1 and n * k**2 * 2 ** (LONG - SHORT) <= MOST_WORK else SHORT


def choose_guide(size: int) -> str:
    """A Gaussian with correlations of low rank for so many coordinates, or one without where there are too many."""
    return "lowrank" if size <= MOST_SITES else "normal"
