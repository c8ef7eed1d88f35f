"""Transport (the Wasserstein part): particles (A, b) move downhill while their masses follow.

Damped Gauss-Newton where its matrix fits, limited-memory BFGS beyond; `choose` decides by size.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import cho_factor, cho_solve, solve_triangular
from jaxtyping import Bool, Float, Int

from bayesplat import collapsed
from bayesplat._typing import AnyArray, Sites
from bayesplat.collapsed import Collapsed
from bayesplat.flow.energy import Energy
from bayesplat.flow.position import Particles, Position, from_frame, geometry, particles, prior_precision
from bayesplat.specification import Geometry

MOST_COORDINATES, MOST_ENTRIES = 2000, 2**25
"""Gauss-Newton: most coordinates of particles, most entries of its Jacobian."""

FIRST_DAMPING, LONGEST_STEP, STILL = 1e-3, 1.5, 3
"""Damping at the start; longest step along a frame, in sizes of the splat; steps without gain before it stops."""

SETTLING = 50
"""Steps of what particles share, at most, after theirs."""

AHEAD, SLIGHT = 0.1, 0.75
"""Share of a step over which its bend is measured; largest bend that is believed, in lengths of the step."""


def choose(energy: Energy, k: int) -> str:
    """Name of the transport for k particles: "gauss-newton" or "lbfgs"."""
    c = coordinates(energy, k)
    fits = c <= MOST_COORDINATES and energy.problem.x.shape[0] * c <= MOST_ENTRIES
    return "gauss-newton" if fits else "lbfgs"


def coordinates(energy: Energy, k: int) -> int:
    """Number of coordinates along the frames of k particles, live or not."""
    return k * (len(energy.problem.spec.scale_family.directions(energy.problem.d)) + energy.problem.d)


def transport(
    energy: Energy, position: Position, live: Bool[AnyArray, " k"], steps: Int[AnyArray, ""]
) -> tuple[Position, Float[AnyArray, ""]]:
    """At most `steps` steps of the transport that suits the size; returns the position and its energy.

    A position that is not finite never wins: its energy is infinite.
    """
    method = {"gauss-newton": gauss_newton, "lbfgs": lbfgs}[choose(energy, live.size)]
    return settle(energy, method(energy, position, live, steps)[0], live)


def gauss_newton(
    energy: Energy, position: Position, live: Bool[AnyArray, " k"], steps: Int[AnyArray, ""]
) -> tuple[Position, Float[AnyArray, ""]]:
    """Damped Gauss-Newton on the energy with the masses solved for at every point (variable projection, golub1973).

    The gradient is that of the whole energy. Its matrix for the particles, along their frames, is the exact expected
    curvature of the data term given the amplitudes' second moments E[a_i a_j | y],

        H = E[a a^T | y] * (T^T C^-1 T) + prior precision    (* by blocks, T the columns' derivatives along the frame),

    positive definite by Schur's product theorem; the noise follows by Fisher scoring. Damping as in Marquardt (1963),
    steps that bend with the valley as in Transtrum and Sethna (2012). Stops early when steps gain nothing that matters
    or damping has grown past use.
    """

    def step(at: Position, gradient: Position, damping: Float[AnyArray, ""]) -> Position:
        now = particles(at)
        change = _bent(energy, at, live, _rows(particles(gradient)), damping)
        return Position(
            *_columns(_rows(now) + change, now), *_shared_step(energy, at, live, _shared(gradient), damping)
        )

    return _descent(lambda at: energy.value(at, live), step, position, steps, STILL, energy.tolerance)


def settle(energy: Energy, position: Position, live: Bool[AnyArray, " k"]) -> tuple[Position, Float[AnyArray, ""]]:
    """What particles share goes down while they are held; returns the position and its energy.

    Near a sharp edge joint steps become too short for the noise to follow.
    """

    def put(shared: Shared) -> Position:
        return position._replace(**shared._asdict())

    def value(shared: Shared) -> Float[AnyArray, ""]:
        return energy.value(put(shared), live)

    def step(shared: Shared, gradient: Shared, damping: Float[AnyArray, ""]) -> Shared:
        return _shared_step(energy, put(shared), live, gradient, damping)

    shared, lowest = _descent(value, step, _shared(position), SETTLING, 1, energy.tolerance)
    return put(shared), lowest


def _descent[T](
    energy: Callable[[T], Float[AnyArray, ""]],
    step: Callable[[T, T, Float[AnyArray, ""]], T],
    start: T,
    steps: Int[AnyArray, ""] | int,
    patience: int,
    tolerance: Callable[[Float[AnyArray, ""]], Float[AnyArray, ""]],
) -> tuple[T, Float[AnyArray, ""]]:
    """At most `steps` damped steps down from a start; damping grows where a step fails and shrinks where it gains."""
    value_and_grad = jax.value_and_grad(energy)

    def body(carry: tuple) -> tuple:
        count, trial, best, value, gradient, damping, still = carry
        trial_value, trial_gradient = value_and_grad(trial)
        better = trial_value < value  # false for NaN
        small = jnp.abs(value - trial_value) < tolerance(trial_value)
        # a step that is hardly damped and changes nothing, up or down, began at the bottom
        ended = small & (better | (damping <= FIRST_DAMPING))
        still = jnp.where(ended, still + 1, jnp.where(better, 0, still))
        damping = jnp.where(count == 0, FIRST_DAMPING, jnp.where(better, jnp.maximum(0.2 * damping, 1e-9), 5 * damping))
        new, old = (trial, trial_value, trial_gradient), (best, value, gradient)
        best, value, gradient = jax.tree.map(lambda a, b: jnp.where(better, a, b), new, old)
        return count + 1, step(best, gradient, damping), best, value, gradient, damping, still

    def goes_on(carry: tuple) -> Bool[AnyArray, ""]:
        count, *_, damping, still = carry
        return (count <= steps) & (damping < 1e7) & (still < patience)

    infinity = jnp.asarray(jnp.inf, jax.eval_shape(energy, start).dtype)
    nothing = jax.tree.map(jnp.zeros_like, start)
    _, _, best, value, *_ = jax.lax.while_loop(
        goes_on, body, (0, start, start, infinity, nothing, jnp.zeros_like(infinity), 0)
    )
    return best, value


class Shared(NamedTuple):
    """Coordinates that particles share."""

    location: Float[AnyArray, " q"]
    log_tau: Float[AnyArray, ""]
    noise: Sites


def _shared(position: Position) -> Shared:
    return Shared(position.location, position.log_tau, position.noise)


def _shared_step(
    energy: Energy, at: Position, live: Bool[AnyArray, " k"], gradient: Shared, damping: Float[AnyArray, ""]
) -> Shared:
    lengths = energy.problem.lengths
    location_curvature = jnp.sum(live) * lengths.precision(energy.problem.box) + lengths.uncertainty**-2
    tau_curvature = 2 * jnp.sum(live) + energy.slack**-2
    noise = _noise_step(energy, at, gradient.noise, damping)
    return Shared(
        at.location - gradient.location / (location_curvature * (1 + damping)),
        at.log_tau - gradient.log_tau / (tau_curvature * (1 + damping)),
        jax.tree.map(jnp.add, at.noise, noise),
    )


def _bent(
    energy: Energy,
    position: Position,
    live: Bool[AnyArray, " k"],
    gradient: Float[AnyArray, "k r"],
    damping: Float[AnyArray, ""],
) -> Float[AnyArray, "k r"]:
    """How the particles move in one damped step: along the velocity, and half the acceleration (transtrum2012).

    The velocity v = -(H + damping diag H)^-1 gradient is the tangent of a valley that bends, and where noise is small
    the valley is so narrow that steps along the tangent stay tiny. The acceleration -(H + damping diag H)^-1 J^T r'',
    r'' the second derivative of the residuals along v, bends with it; it is left out where it is not small beside v.
    """
    at, k = particles(position), live.size

    def residual(rows: Float[AnyArray, "k r"]) -> tuple[Float[AnyArray, " n_plus_r"], tuple[Geometry, Collapsed]]:
        moved = position._replace(**_columns(rows, at)._asdict())
        place = geometry(energy.problem, moved)
        system = energy.system_at(place, moved, live)
        return collapsed.least_squares(system), (place, system)

    rows, to_coordinates = _rows(at), from_frame(energy.problem, at, live)
    here, back, (place, system) = jax.vjp(residual, rows, has_aux=True)
    factor = cho_factor(_damped(curvature(energy, place, system, live), damping))

    def downhill(gradient: Float[AnyArray, "k r"]) -> Float[AnyArray, "k r"]:
        """The damped step along the frame."""
        along = jnp.einsum("krs,kr->ks", to_coordinates, gradient)
        return jnp.where(live[:, None], -cho_solve(factor, along.T.reshape(-1)).reshape(-1, k).T, 0.0)

    def change(along: Float[AnyArray, "k r"]) -> Float[AnyArray, "k r"]:
        """A step along the frame in the coordinates."""
        return jnp.einsum("krs,ks->kr", to_coordinates, along)

    velocity = downhill(gradient)
    step = AHEAD * change(velocity)
    ahead, behind = residual(rows + step)[0], residual(rows - step)[0]
    bend = (ahead + behind - 2 * here) / AHEAD**2
    acceleration = downhill(*back(bend))
    slight = jnp.sum(acceleration**2) <= SLIGHT**2 * jnp.sum(velocity**2)  # false for NaN
    moved = velocity + jnp.where(slight, 0.5 * acceleration, 0.0)
    # near the floor of lengths, below twice that, steps along the frame would take the excess any distance
    limit = np.where(np.arange(rows.shape[1]) < at.excess.shape[1], 2 * LONGEST_STEP, np.inf)
    return jnp.clip(change(jnp.clip(moved, -LONGEST_STEP, LONGEST_STEP)), -limit, limit)


def curvature(energy: Energy, at: Geometry, system: Collapsed, live: Bool[AnyArray, " k"]) -> Float[AnyArray, "rk rk"]:
    """Gauss-Newton matrix of the particles along their frames, coordinates of the frame first."""
    k, weight = live.size, (system.observed / system.sd)[:, None]
    along = energy.problem.columns_along(at.A, at.b)
    T, r = _along_memory(*(column * weight for column in along)), len(along)
    explained = solve_triangular(system.chol, (T @ system.W).T, lower=True)
    half = _along_memory(explained)
    gram = (T @ T.T - half @ half.T).reshape(r, k, r, k)
    amplitude = collapsed.mean_coefficients(system)[:k]
    moments = amplitude[:, None] * amplitude[None, :] + energy.spread(system, k)
    data = (gram * moments[None, :, None, :]).reshape(r * k, r * k)
    return data + jnp.diag((energy.prior_weight * prior_precision(energy.problem, at)).reshape(-1))


def _along_memory(*blocks: Float[AnyArray, "n k"]) -> Float[AnyArray, "c n"]:
    """The columns of all blocks as rows: the compiler takes half as long for their products, if held to it."""
    return jax.lax.optimization_barrier(jnp.concatenate([block.T for block in blocks]))


def _noise_step(energy: Energy, position: Position, gradient: Sites, damping: Float[AnyArray, ""]) -> Sites:
    """How the noise's coordinates change: -(H + damping diag H)^-1 gradient, H = 2 c J^T J + I, J = d log sd.

    That is their Fisher information from c copies of the data and a unit prior. A mixing weight has its own datum, so
    all of them are eliminated first, O(n m^2) for m coordinates that data share.
    """
    observed, information = energy.problem.observed, 2 * energy.copies
    own = {name: value for name, value in position.noise.items() if name == "mixing"}
    rest = {name: value for name, value in position.noise.items() if name not in own}
    shared, unflatten = ravel_pytree(rest)
    along, _ = ravel_pytree({name: gradient[name] for name in rest})

    def log_sd(shared: Float[jax.Array, " m"], own: Sites) -> Float[AnyArray, " n"]:
        return observed * jnp.log(energy.data_sd(position._replace(noise=unflatten(shared) | own)))

    J = jax.jacfwd(log_sd)(shared, own)
    matrix = _damped(information * J.T @ J + jnp.eye(shared.size, dtype=shared.dtype), damping)
    if not own:
        return unflatten(-cho_solve(cho_factor(matrix), along))
    slope = jax.jvp(lambda own: log_sd(shared, own), (own,), (jax.tree.map(jnp.ones_like, own),))[1]
    cross, weight = information * slope[:, None] * J, (1 + damping) * (information * slope**2 + 1)
    left = along - cross.T @ (gradient["mixing"] / weight)
    change = -cho_solve(cho_factor(matrix - cross.T @ (cross / weight[:, None])), left)
    return unflatten(change) | {"mixing": -(gradient["mixing"] + cross @ change) / weight}


def _damped(matrix: Float[AnyArray, "m m"], damping: Float[AnyArray, ""]) -> Float[AnyArray, "m m"]:
    return matrix + jnp.diag(damping * jnp.diagonal(matrix))


def _rows(at: Particles) -> Float[AnyArray, "k r"]:
    return jnp.concatenate(list(at), axis=1)


def _columns(rows: Float[AnyArray, "k r"], like: Particles) -> Particles:
    """Particles from the rows that hold their coordinates."""
    q = like.excess.shape[1]
    return Particles(*jnp.split(rows, [q, q + like.shear.shape[1]], axis=1))


def lbfgs(
    energy: Energy, position: Position, live: Bool[AnyArray, " k"], steps: Int[AnyArray, ""]
) -> tuple[Position, Float[AnyArray, ""]]:
    """Limited-memory BFGS with a zoom line search (liu1989), for problems too large for Gauss-Newton."""
    n = energy.problem.x.shape[0]

    def mean_energy(position: Position) -> Float[AnyArray, ""]:
        return energy.value(position, live) / n

    optimiser = optax.lbfgs(memory_size=20, linesearch=optax.scale_by_zoom_linesearch(max_linesearch_steps=15))
    value_and_grad = optax.value_and_grad_from_state(mean_energy)

    def step(carry: tuple) -> tuple:
        count, position, state, before, still = carry
        value, grad = value_and_grad(position, state=state)
        updates, state = optimiser.update(grad, state, position, value=value, grad=grad, value_fn=mean_energy)
        still = jnp.where(n * (before - value) < energy.tolerance(n * jnp.asarray(value)), still + 1, 0)
        return count + 1, optax.apply_updates(position, updates), state, value, still

    start = (0, position, optimiser.init(position), jnp.asarray(jnp.inf, energy.problem.x.dtype), 0)
    _, moved, *_ = jax.lax.while_loop(lambda carry: (carry[0] < steps) & (carry[-1] < STILL), step, start)
    value = energy.value(moved, live)
    return moved, jnp.where(jnp.isfinite(value), value, jnp.inf)
