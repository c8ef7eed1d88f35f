"""The No-U-Turn sampler over the collapsed posterior: independent chains, each on its own thread (hoffman2014).

Every chain runs the same compiled chunk of steps, so a fit compiles twice (start and chunk) whatever the number of
chains, draws or data sets of one shape.
"""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from numpyro.infer.hmc import hmc

from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.model import Problem, geometry_sites
from bayesplat.posterior.program import potential
from bayesplat.posterior.teleport import teleport
from bayesplat.priors.sites import constrain, unconstrain
from bayesplat.threads import run_all

CHUNK = 25
"""Steps between two looks at progress and interrupts."""

STATS = ("potential_energy", "energy", "num_steps", "accept_prob", "diverging")


class Settings(NamedTuple):
    """What defines a chain besides its start and key."""

    warmup: int = 500
    draws: int = 500
    target_accept: float = 0.9
    max_tree_depth: int = 7
    teleports: int = 30  # redraws of single splats tried after every step; 0 for plain NUTS


class Chains(NamedTuple):
    """Positions and statistics of all chains; leading axes (chains, draws)."""

    positions: Sites
    stats: Sites
    interrupted: bool


class Progress(NamedTuple):
    """Where the sampler stands."""

    done: int  # steps taken, all chains together
    total: int  # steps to take
    divergences: int  # after warm-up


def _kernel(problem: Problem, settings: Settings, position: Sites, key: Key) -> tuple[Any, Callable[..., Any]]:
    start, sample = hmc(potential_fn=lambda z: potential(problem, z), algo="NUTS")
    state = start(
        position,
        settings.warmup,
        target_accept_prob=settings.target_accept,
        max_tree_depth=settings.max_tree_depth,
        step_size=0.05,
        rng_key=key,
    )
    return state, sample


@eqx.filter_jit
def _start(problem: Problem, settings: Settings, position: Sites, key: Key) -> Any:
    return _kernel(problem, settings, position, key)[0]


@eqx.filter_jit
def _advance(problem: Problem, settings: Settings, state: Any) -> tuple[Any, tuple[Sites, dict[str, jax.Array]]]:
    # the library binds its step to a start: XLA drops the start's arithmetic, since only the step is used
    _, sample = _kernel(problem, settings, state.z, state.rng_key)

    def step(state: Any, _: None) -> tuple[Any, tuple[Sites, dict[str, jax.Array]]]:
        state = sample(state)
        # warm-up learns the scale of each splat in its place, so none is moved elsewhere until it is over
        state, moved = jax.lax.cond(
            state.i > settings.warmup,
            lambda state: _teleport(problem, settings, state),
            lambda state: (state, jnp.zeros(())),
            state,
        )
        stats = {name: getattr(state, name) for name in STATS}
        return state, (state.z, {**stats, "teleported": moved})

    return jax.lax.scan(step, state, length=CHUNK)


def _teleport(problem: Problem, settings: Settings, state: Any) -> tuple[Any, Float[AnyArray, ""]]:
    """Teleports from the state of NUTS, which then goes on from where they end."""
    if settings.teleports == 0:
        return state, jnp.zeros(())
    table, k = problem.sites(), problem.spec.n_splats
    values, _ = constrain(table, state.z)
    key, next_key = jax.random.split(state.rng_key)
    geometry = geometry_sites(problem.spec, problem.box)
    values, moved = teleport(geometry, problem.log_rest, values, key, settings.teleports, k, k)
    # untouched coordinates keep their bits: the way through the bijections and back rounds
    z = jax.tree.map(
        lambda new, old, before: jnp.where(new == before, old, new),
        unconstrain(table, values),
        state.z,
        unconstrain(table, constrain(table, state.z)[0]),
    )
    energy, grad = jax.value_and_grad(lambda z: potential(problem, z))(z)
    return state._replace(z=z, potential_energy=energy, z_grad=grad, rng_key=next_key), moved


def run_nuts(
    problem: Problem,
    positions: list[Sites],
    key: Key,
    settings: Settings,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Chains:
    """Run one chain from each position; an interrupt (Ctrl-C) ends all of them and keeps the draws there are.

    Raises KeyboardInterrupt when interrupted before the first draw after warm-up.
    """
    total = settings.warmup + settings.draws
    keys = jax.random.split(key, len(positions))
    chunks: list[list[Any]] = [[] for _ in positions]

    def chain(c: int, stop: threading.Event) -> None:
        state = _start(problem, settings, positions[c], keys[c])
        while len(chunks[c]) * CHUNK < total and not stop.is_set():
            state, out = _advance(problem, settings, state)
            chunks[c].append(jax.tree.map(np.asarray, out))

    interrupted = run_all(chain, len(positions), lambda: report(_progress(chunks, settings)))
    return _gather(chunks, settings, interrupted)


def _progress(chunks: list[list[Any]], settings: Settings) -> Progress:
    total = settings.warmup + settings.draws
    done = sum(min(len(chain) * CHUNK, total) for chain in chunks)
    skip = settings.warmup // CHUNK
    divergences = sum(int(stats["diverging"].sum()) for chain in chunks for _, stats in chain[skip:])
    return Progress(done, total * len(chunks), divergences)


def _gather(chunks: list[list[Any]], settings: Settings, interrupted: bool) -> Chains:
    """Join the chunks of every chain, drop warm-up, and cut all chains to the shortest."""
    keep = min(min(len(chain) * CHUNK for chain in chunks), settings.warmup + settings.draws)
    if keep <= settings.warmup + 3:
        raise KeyboardInterrupt("Interrupted before the chains had draws to keep.")
    chains = [jax.tree.map(lambda *parts: np.concatenate(parts)[settings.warmup : keep], *chain) for chain in chunks]
    positions, stats = jax.tree.map(lambda *each: np.stack(each), *chains)
    return Chains(positions, stats, interrupted)


def disperse(position: Sites, key: Key, scale: float = 0.02) -> Sites:
    """A start moved a little in every unconstrained coordinate, so that no two chains start in one place."""
    leaves, treedef = jax.tree.flatten(position)
    keys = jax.random.split(key, len(leaves))
    moved = [leaf + scale * jax.random.normal(k, jnp.shape(leaf)) for leaf, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(treedef, moved)
