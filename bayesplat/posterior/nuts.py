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
from jax.flatten_util import ravel_pytree
from jaxtyping import Float
from numpyro.infer.hmc import hmc
from numpyro.infer.util import ParamInfo

from bayesplat._typing import AnyArray, Key, Sites
from bayesplat.checkpoint import NO_JOURNAL, Journal
from bayesplat.devices import jit_once
from bayesplat.model import Problem
from bayesplat.posterior.gibbs import gibbs
from bayesplat.posterior.program import potential
from bayesplat.priors.geometry import PER_SPLAT
from bayesplat.priors.sites import constrain, unconstrain, unflatten
from bayesplat.threads import run_all

CHUNK = 25
"""Steps between two looks at progress and interrupts."""

MEMORY = 0.01
"""Least weight of a new step in the mass that warm-up learns: it remembers about the last hundred."""

DISPERSION = 0.02
"""Sd of the moves of a chain's start, in every unconstrained coordinate."""

STATS = ("potential_energy", "energy", "num_steps", "accept_prob", "diverging")


class Settings(NamedTuple):
    """What defines a chain besides its start and key."""

    warmup: int = 500
    draws: int = 500
    target_accept: float = 0.9
    max_tree_depth: int = 6
    pool: int = 32  # candidates for the place of each splat after every step; 0 for plain NUTS


class Chains(NamedTuple):
    """Draws and statistics of all chains; leading axes (chains, draws)."""

    values: Sites  # of the model's sites
    stats: Sites
    interrupted: bool


class Progress(NamedTuple):
    """Where the sampler stands."""

    done: int  # steps taken, all chains together
    total: int  # steps to take
    divergences: int  # after warm-up


class State(NamedTuple):
    """One chain between two steps."""

    hmc: Any  # the library's state; its position is one flat vector
    fisher: Float[AnyArray, " m"]  # running mean of the squared gradient


def _kernel(
    problem: Problem, settings: Settings, position: Float[AnyArray, " m"], key: Key
) -> tuple[Any, Callable[..., Any]]:
    # one flat vector: the library repeats each of its operations for every leaf of a position
    unflat = unflatten(problem.sites())
    start, sample = hmc(potential_fn=lambda z: potential(problem, unflat(z)), algo="NUTS")
    # every step begins with Gibbs moves and the gradient where they end, so a start needs none of its own
    state = start(
        ParamInfo(position, jnp.zeros(()), jnp.zeros_like(position)),
        settings.warmup,
        target_accept_prob=settings.target_accept,
        max_tree_depth=settings.max_tree_depth,
        adapt_mass_matrix=False,
        step_size=0.05,
        rng_key=key,
    )
    return state, sample


@eqx.filter_jit
def _start(problem: Problem, settings: Settings, position: Sites, key: Key) -> State:
    state = _kernel(problem, settings, ravel_pytree(position)[0], key)[0]
    return State(state, jnp.ones_like(state.z))


@eqx.filter_jit
def _advance(problem: Problem, settings: Settings, state: State) -> tuple[State, tuple[Sites, Sites]]:
    # the library binds its step to a start
    _, sample = _kernel(problem, settings, state.hmc.z, state.hmc.rng_key)
    table, unflat = problem.sites(), unflatten(problem.sites())

    def step(state: State, _: object) -> tuple[State, tuple[Sites, Sites]]:
        before, moved = _gibbs(problem, settings, state.hmc)
        state = _adapt(problem, settings, state._replace(hmc=sample(before)))
        stats = {name: getattr(state.hmc, name) for name in STATS}
        values, _ = constrain(table, unflat(state.hmc.z))
        return state, (values, {**stats, "teleported": moved})

    return jax.lax.scan(step, state, length=CHUNK)


def _adapt(problem: Problem, settings: Settings, state: State) -> State:
    """Learn the mass during warm-up: the mean squared gradient, averaged over splats, which is their mean precision.

    Splats trade places, so the spread of a splat's coordinates says how far it travels and not how finely data hold
    it; gradients say that wherever it is. In all that each has a row of, splats share one mass: labels do not matter.
    Idle splats then hardly move along gradients; teleports move them. The last tenth of warm-up tunes the step alone.
    """
    i = state.hmc.i
    weight = jnp.where(i < settings.warmup - settings.warmup // 10, jnp.maximum(1 / (i + 5.0), MEMORY), 0.0)
    squares = mean_over_splats(problem, state.hmc.z_grad**2)
    learnt = state.fisher + weight * (squares - state.fisher)
    fisher = jnp.where(jnp.isfinite(squares) & (weight > 0), learnt, state.fisher)
    adapted = state.hmc.adapt_state._replace(
        inverse_mass_matrix=1 / fisher, mass_matrix_sqrt=jnp.sqrt(fisher), mass_matrix_sqrt_inv=1 / jnp.sqrt(fisher)
    )
    return State(state.hmc._replace(adapt_state=adapted), fisher)


def mean_over_splats(problem: Problem, flat: Float[jax.Array, " m"]) -> Float[jax.Array, " m"]:
    """Each splat's share of a flat vector replaced by the mean over splats: labels do not matter to it."""
    own = PER_SPLAT | problem.spec.prior.own_sites
    leaves = unflatten(problem.sites())(flat)
    means = {name: jnp.broadcast_to(leaf.mean(0), leaf.shape) if name in own else leaf for name, leaf in leaves.items()}
    return ravel_pytree(means)[0]


def _gibbs(problem: Problem, settings: Settings, state: Any) -> tuple[Any, Float[AnyArray, ""]]:
    """Gibbs moves from the state of NUTS, which goes on from where they end, with energy and gradient there."""
    table, unflat = problem.sites(), unflatten(problem.sites())
    key, next_key = jax.random.split(state.rng_key)
    z, moved = state.z, jnp.zeros(())
    if settings.pool:
        before, _ = constrain(table, unflat(z))
        first, second, third = jax.random.split(key, 3)
        after, moved = gibbs(problem, before, first, third, second, settings.pool)
        # untouched coordinates keep their bits: the way through the bijections and back rounds
        new, old = ravel_pytree(unconstrain(table, after))[0], ravel_pytree(unconstrain(table, before))[0]
        z = jnp.where(new == old, z, new)
    energy, grad = jax.value_and_grad(lambda z: potential(problem, unflat(z)))(z)
    return state._replace(z=z, potential_energy=energy, z_grad=grad, rng_key=next_key), moved


def run_nuts(
    problem: Problem,
    positions: list[Sites],
    key: Key,
    settings: Settings,
    report: Callable[[Progress], None] = lambda progress: None,
    journal: Journal = NO_JOURNAL,
) -> Chains:
    """Run one chain from each position; an interrupt (Ctrl-C) ends all of them and keeps the draws there are.

    `journal` keeps every chunk with the state at its end, from where a chain that was killed goes on bit for bit.
    Raises KeyboardInterrupt when interrupted before there are draws to keep.
    """
    total = settings.warmup + settings.draws
    keys = jax.random.split(key, len(positions))
    chunks: list[list[Any]] = [[] for _ in positions]

    # the number of draws is no business of the compiled code: longer runs need no new compilation
    compiled = settings._replace(draws=0)

    like = _chunk_like(problem, compiled, positions[0], keys[0]) if journal.folder else None

    def chain(c: int, stop: threading.Event) -> None:
        state = None
        while len(chunks[c]) * CHUNK < total and not stop.is_set():
            name = f"nuts-{c}-{len(chunks[c]):05d}"
            if (piece := journal.recall(name, like)) is None:
                state = _start(problem, compiled, positions[c], keys[c]) if state is None else state
                piece = _advance(problem, compiled, state)
                journal.record(name, piece)
            state, out = piece
            chunks[c].append(jax.tree.map(np.asarray, out))

    interrupted = run_all(chain, len(positions), lambda: report(_progress(chunks, settings)))
    return _gather(chunks, settings, interrupted)


def _chunk_like(problem: Problem, settings: Settings, position: Sites, key: Key) -> Any:
    """The structure of one chunk, as `_advance` returns it."""
    state = eqx.filter_eval_shape(_start, problem, settings, position, key)
    values, stats = (dict.fromkeys(names, 0) for names in (problem.sites(), (*STATS, "teleported")))
    return state, (values, stats)


def _progress(chunks: list[list[Any]], settings: Settings) -> Progress:
    total = settings.warmup + settings.draws
    done = sum(min(len(chain) * CHUNK, total) for chain in chunks)
    skip = -(-settings.warmup // CHUNK)
    divergences = sum(int(stats["diverging"].sum()) for chain in chunks for _, stats in chain[skip:])
    return Progress(done, total * len(chunks), divergences)


def _gather(chunks: list[list[Any]], settings: Settings, interrupted: bool) -> Chains:
    """Join the chunks of every chain, drop warm-up, and keep as many draws of equally long chains as there are.

    There are more chains than cores: where an interrupt found some of them done and others hardly begun, the latter go.
    """
    lengths = np.array([min(len(chain) * CHUNK - settings.warmup, settings.draws) for chain in chunks])
    draws = max(lengths, key=lambda length: length * np.sum(lengths >= length))
    if draws <= 3:
        raise KeyboardInterrupt("Interrupted before the chains had draws to keep.")
    span = slice(settings.warmup, settings.warmup + int(draws))
    kept = [chain for chain, length in zip(chunks, lengths, strict=True) if length >= draws]
    chains = [jax.tree.map(lambda *parts: np.concatenate(parts)[span], *chain) for chain in kept]
    values, stats = jax.tree.map(lambda *each: np.stack(each), *chains)
    return Chains(values, stats, interrupted)


@jit_once
def disperse(problem: Problem, values: Sites, key: Key) -> Sites:
    """The position at these values, moved a little in every coordinate, so that no two chains start in one place."""
    flat, unflat = ravel_pytree(unconstrain(problem.sites(), values))
    return unflat(flat + DISPERSION * jax.random.normal(key, flat.shape, flat.dtype))
