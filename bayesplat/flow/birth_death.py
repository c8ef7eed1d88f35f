"""Birth and death: mass leaves the splat that explains least and appears where the certificate is largest."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from bayesplat import collapsed
from bayesplat._typing import AnyArray, Key
from bayesplat.evaluate import heights
from bayesplat.flow.energy import NegLogEvidence, Position

RUNGS = 8
"""Lengths on the ladder of candidate scales."""

PAIRS = 2**22
"""Heights of candidates at data evaluated per birth: bounds its memory and time."""


class Birth(NamedTuple):
    """The best candidate for a new splat."""

    centre: Float[AnyArray, " d"]
    excess: Float[AnyArray, " q"]
    gain: Float[AnyArray, ""]  # nats of log evidence that it adds: the flow's certificate


def certificate(
    energy: NegLogEvidence,
    position: Position,
    live: Bool[AnyArray, " k"],
    key: Key,
    temperature: Float[AnyArray, ""] | float,
) -> Birth:
    """Best round splat among data points x a ladder of lengths, by the evidence it would add.

    The gain is perturbed by Gumbel noise of size `temperature` times its own spread over candidates, so that starts
    differ; 0 takes the argmax.
    """
    problem = energy.problem
    n, d = problem.x.shape
    rows = max(1, min(n, PAIRS // (RUNGS * n), 256))
    pick, noise = jax.random.split(key)
    weight = problem.observed / jnp.sum(problem.observed)
    centres = problem.x[jax.random.choice(pick, n, (rows,), replace=False, p=weight)]
    lengths = jnp.geomspace(2 * problem.box.floor, 0.5, RUNGS)
    b = jnp.tile(centres, (RUNGS, 1))
    length = jnp.repeat(lengths, rows)
    system = energy.system(position, live)
    candidates = heights(length[:, None, None] * jnp.eye(d)[None], b, problem.x, problem.spec.mother)
    gain = collapsed.evidence_gain(system, candidates, jnp.exp(position.log_tau))
    spread = temperature * jnp.maximum(jnp.max(gain) - jnp.median(gain), 1e-12)
    best = jnp.argmax(gain + spread * jax.random.gumbel(noise, gain.shape))
    excess = jnp.log(length[best] - problem.box.floor)
    return Birth(b[best], jnp.full(position.excess.shape[1], excess), gain[best])


def give_birth(position: Position, slot: Int[AnyArray, ""], birth: Birth) -> Position:
    """Put a new round splat into a slot."""
    return position._replace(
        centre=jnp.asarray(position.centre).at[slot].set(birth.centre),
        excess=jnp.asarray(position.excess).at[slot].set(birth.excess),
        shear=jnp.asarray(position.shear).at[slot].set(0.0),
    )


def weakest(
    energy: NegLogEvidence,
    position: Position,
    live: Bool[AnyArray, " k"],
    key: Key,
    temperature: Float[AnyArray, ""] | float,
) -> Int[AnyArray, ""]:
    """Index of the live splat whose removal costs least evidence, with noise of relative size `temperature`."""
    lost = collapsed.evidence_lost(energy.system(position, live))[: live.shape[0]]
    noisy = lost + temperature * jnp.abs(lost) * jax.random.normal(key, lost.shape)
    return jnp.argmin(jnp.where(live, noisy, jnp.inf))


def rebirth(
    energy: NegLogEvidence, position: Position, live: Bool[AnyArray, " k"], key: Key, temperature: Float[AnyArray, ""]
) -> Position:
    """Kill the weakest splat and put a new one where it is needed most; the number of splats stays."""
    die, born = jax.random.split(key)
    slot = weakest(energy, position, live, die, temperature)
    rest = live & (jnp.arange(live.shape[0]) != slot)
    return give_birth(position, slot, certificate(energy, position, rest, born, temperature))
