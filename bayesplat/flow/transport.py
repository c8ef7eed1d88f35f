"""Transport (the Wasserstein part): particles (A, b) move down the gradient of the energy."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Bool, Float, Int

from bayesplat._typing import AnyArray
from bayesplat.flow.energy import NegLogEvidence, Position


def lbfgs(
    energy: NegLogEvidence, position: Position, live: Bool[AnyArray, " k"], steps: Int[AnyArray, ""]
) -> tuple[Position, Float[AnyArray, ""]]:
    """Limited-memory BFGS with a zoom line search (liu1989); returns the position and its energy.

    A position that is not finite never wins: the caller compares energies.
    """
    n = energy.problem.x.shape[0]

    def mean_energy(position: Position) -> Float[AnyArray, ""]:
        return energy.value(position, live) / n

    optimiser = optax.lbfgs(memory_size=20, linesearch=optax.scale_by_zoom_linesearch(max_linesearch_steps=15))
    value_and_grad = optax.value_and_grad_from_state(mean_energy)

    def step(_: Int[AnyArray, ""], carry: tuple) -> tuple:
        position, state = carry
        value, grad = value_and_grad(position, state=state)
        updates, state = optimiser.update(grad, state, position, value=value, grad=grad, value_fn=mean_energy)
        return optax.apply_updates(position, updates), state

    moved, _ = jax.lax.fori_loop(0, steps, step, (position, optimiser.init(position)))
    value = energy.value(moved, live)
    return moved, jnp.where(jnp.isfinite(value), value, jnp.inf)
