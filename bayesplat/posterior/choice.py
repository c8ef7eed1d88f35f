"""Which sampler and which approximation a size can afford."""

MOST_WORK = 210_000_000
"""Largest n k (k + 150) for NUTS by `method="auto"`.

A gradient takes n k exponentials and what goes with them, and products of n k^2: on one core 0.04 to 0.10 ns for each
unit of n k (k + 150) (`tests/benchmarks/test_sampler.py`). A draw takes 64 gradients: beyond this, four chains of a
thousand steps may take more than an hour on two cores half as fast. Variational inference needs 16,000 in all.
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
    return {"nuts": _work(n, k) > MOST_WORK, "smc": n * k**3 > MOST_POPULATION_WORK}.get(method, False)


def choose_depth(n: int, k: int, d: int) -> int:
    """Depth of NUTS's trajectories: long ones with more than one input, as long as that ends within about an hour.

    Along one input teleports carry splats, and longer trajectories buy little; over more they seldom find a better
    place, and gradients have to do the work.
    """
    return LONG if d > 1 and _work(n, k) * 2 ** (LONG - SHORT) <= MOST_WORK else SHORT


def _work(n: int, k: int) -> int:
    """What a gradient takes, up to a constant."""
    return n * k * (k + 150)


def choose_guide(size: int) -> str:
    """A Gaussian with correlations of low rank for so many coordinates, or one without where there are too many."""
    return "lowrank" if size <= MOST_SITES else "normal"
