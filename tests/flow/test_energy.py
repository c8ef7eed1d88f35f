"""The flow's energies, and what they say of single splats, against dense algebra at one position."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from bayesplat.devices import inference
from bayesplat.flow import evidence, reaction, transport
from bayesplat.flow.evidence import log_seen, neg_log_evidence
from bayesplat.flow.joint import neg_log_joint, squared_error
from bayesplat.flow.position import Particles, geometry, particles
from bayesplat.priors import Repulsive
from tests.flow.bumps import WIDTH, bumps, energy_of, problem_of
from tests.flow.bumps import N as GRID
from tests.flow.dense import Dense, Splats

N, K, PENALTY, NEW = 30, 4, 1e-2, 3
LIVE = np.array([True, True, False, True])
KINDS = {
    "evidence": neg_log_evidence,
    "joint": neg_log_joint,
    "squares": lambda problem: squared_error(problem, PENALTY),
}
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module", autouse=True)
def as_the_flow():
    with inference():
        yield


def splats(k, seed):
    """Oblique splats anywhere in the square."""
    rng = np.random.default_rng(seed)
    excess, shear, centre = rng.normal(-1.6, 0.3, (k, 2)), rng.normal(0, 0.5, (k, 1)), rng.uniform(0.1, 0.9, (k, 2))
    return Particles(*map(jnp.asarray, (excess, shear, centre)))


def square(trend):
    """Two inputs, oblique splats, three missing data."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(N, 2))
    y = np.sin(5 * x[:, 0]) * x[:, 1] + 0.1 * rng.normal(size=N)
    return problem_of(np.where(np.arange(N) % 10 == 3, np.nan, y), x, K, trend=trend)


@pytest.fixture(scope="module")
def made():
    """The energies; that of the paper without a trend, of which the paper knows nothing."""
    return {kind: make(square("none" if kind == "squares" else "linear")) for kind, make in KINDS.items()}


@pytest.fixture(scope="module")
def problem(made):
    return made["evidence"].problem


@pytest.fixture(scope="module")
def position(made):
    """A position far from any minimum, with a live splat that the data hardly see."""
    at, anywhere = made["evidence"].start(K), splats(K, 1)
    noise = {"sigma": at.noise["sigma"] + 0.3}
    moved = anywhere._replace(excess=anywhere.excess.at[1].add(-0.4))
    shared = {"location": at.location + 0.2, "log_tau": at.log_tau - 0.4, "noise": noise}
    return at._replace(**moved._asdict(), **shared)


CANDIDATES = splats(NEW, 2)
TRIALS = np.random.default_rng(3).normal(size=(N, NEW))


@pytest.fixture(scope="module")
def compiled(made):
    """All that an energy says at a position: one compilation for each energy."""

    def look(energy, at, live):
        system = energy.system(at, live)
        value, gradient = jax.value_and_grad(energy.value)(at, live)
        return {
            "value": value,
            "gradient": gradient,
            "residual": energy.residual(at, live),
            "variation": energy.first_variation(at, live, TRIALS),
            "gain": energy.gain(system, at, CANDIDATES),
            "worth": energy.worth(system, at),
            "masses": reaction.exact(energy, at, live),
            "spread": energy.spread(system, K),
        }

    one_pass = eqx.filter_jit(look)
    return lambda kind, at, live=LIVE: jax.tree.map(np.asarray, one_pass(made[kind], at, jnp.asarray(live)))


@pytest.fixture(scope="module")
def seen(compiled, position):
    return {kind: compiled(kind, position) for kind in KINDS}


@pytest.fixture(scope="module")
def dense(made, position):
    """The same position by NumPy, with the amplitude scale and the noise that each energy takes."""
    own = {"evidence": {}, "joint": {"scale": TYPICAL}, "squares": {"scale": PENALTY**-0.5, "sd": np.sqrt(N - 3)}}
    return {kind: Dense(made[kind], position, LIVE, **own[kind]) for kind in KINDS}


TYPICAL = 1 / np.sqrt(K * 0.15)  # of an amplitude under the ridge prior
MEDIAN = N ** (-1 / 4)  # of a length


def prior(dense):
    own = dense.splats.log_prior(np.asarray(dense.position.location))
    return own[LIVE].sum() + dense.log_shared(MEDIAN, TYPICAL)


# ---------------------------------------------------------------- values


def test_a_live_splat_is_hardly_seen(dense):
    """Else the values below would say nothing of that part of the prior."""
    assert (np.sum(dense["evidence"].splats.columns ** 2, 0)[LIVE] < 1.2).any()


def test_evidence_is_integrated_over_amplitudes_and_splats_pay_their_occam_factors(seen, dense):
    cost = dense["evidence"].information(dense["evidence"].splats, np.diag(dense["evidence"].moments()))
    assert (cost[LIVE] > 0.5).all()
    expected = -(dense["evidence"].log_evidence() + prior(dense["evidence"]) - cost[LIVE].sum())
    np.testing.assert_allclose(seen["evidence"]["value"], expected, rtol=1e-8)


def test_joint_is_maximised_over_amplitudes(seen, dense):
    """Up to the normalising constants of the amplitudes, whose scale is held."""
    at = dense["joint"]
    log_noise = at.y.size * np.log(np.sqrt(2 * np.pi) * at.sd)
    np.testing.assert_allclose(seen["joint"]["value"], at.data_term() + log_noise - prior(at), rtol=1e-8)


def test_squared_error_is_that_of_the_ridge_solution(seen, dense):
    at = dense["squares"]
    columns, _ = at.system()
    amplitude, _ = at.coefficients()
    expected = 0.5 * np.mean((columns @ amplitude - at.y) ** 2) + 0.5 * PENALTY * np.sum(amplitude**2)
    np.testing.assert_allclose(seen["squares"]["value"], expected, rtol=1e-9)


@kinds
def test_gradient_equals_finite_differences(seen, compiled, position, kind):
    flat, unravel = ravel_pytree(position)
    gradient = ravel_pytree(seen[kind]["gradient"])[0]
    for seed in range(3):
        direction, step = np.random.default_rng(seed).normal(size=flat.shape), 1e-5
        up, down = (compiled(kind, unravel(flat + sign * step * direction))["value"] for sign in (1, -1))
        np.testing.assert_allclose(gradient @ direction, (up - down) / (2 * step), rtol=1e-5)


@kinds
def test_dead_splats_count_for_nothing(seen, compiled, position, kind):
    moved = position._replace(centre=position.centre.at[2].add(0.7), excess=position.excess.at[2].add(0.5))
    assert compiled(kind, moved)["value"] == seen[kind]["value"]
    everyone = np.ones(K, bool)
    assert compiled(kind, moved, everyone)["value"] != compiled(kind, position, everyone)["value"]
    assert not particles(seen[kind]["gradient"]).centre[2].any()


@pytest.mark.parametrize("make", [neg_log_evidence, neg_log_joint])
def test_dead_splats_repel_nobody(make, position):
    """Nor do the clones of the last one that a wider position holds."""
    energy = make(problem_of(np.sin(5 * np.linspace(0, 1, N)), np.asarray(splats(N, 3).centre), K, prior=Repulsive()))
    value = eqx.filter_jit(energy.value)
    moved = position._replace(centre=position.centre.at[2].set(position.centre[0]))
    assert value(moved, jnp.asarray(LIVE)) == value(position, jnp.asarray(LIVE))
    everyone = jnp.ones(K, bool)
    assert value(moved, everyone) != value(position, everyone)


# ---------------------------------------------------------------- the collapsed system


@kinds
def test_half_the_square_of_the_residual_is_the_data_term(seen, dense, kind):
    np.testing.assert_allclose(0.5 * np.sum(seen[kind]["residual"] ** 2), dense[kind].data_term(), rtol=1e-9)


@kinds
def test_masses_are_those_of_least_squares(seen, dense, kind):
    amplitude, trend = seen[kind]["masses"]
    mean, covariance = dense[kind].coefficients()
    np.testing.assert_allclose(amplitude[LIVE], mean[:3], rtol=1e-7)
    np.testing.assert_allclose(trend, mean[3:], rtol=1e-7)
    assert amplitude[2] == 0.0
    spread = covariance[:3, :3] if kind == "evidence" else np.zeros((3, 3))
    np.testing.assert_allclose(seen[kind]["spread"][np.ix_(LIVE, LIVE)], spread, rtol=1e-7)
    assert not seen[kind]["spread"][2].any()


@kinds
def test_first_variation_is_the_slope_of_the_data_term(problem, seen, dense, kind):
    """The other amplitudes are solved for again at each amplitude of the new column."""
    observed = np.asarray(problem.observed) > 0
    for column, slope in zip(TRIALS[observed].T, seen[kind]["variation"], strict=True):
        up, down = (dense[kind].data_term(given=sign * 1e-3 * column) for sign in (1, -1))
        np.testing.assert_allclose((up - down) / 2e-3, slope, rtol=1e-6)


# ---------------------------------------------------------------- what a splat is worth


@pytest.fixture(scope="module")
def born(problem):
    return Splats(problem, CANDIDATES)


def test_gain_of_evidence_and_its_cost_are_those_of_adding_the_splat(seen, dense, born):
    at = dense["evidence"]
    evidence, net = seen["evidence"]["gain"]
    expected = [at.log_evidence(extra=column[:, None]) - at.log_evidence() for column in born.columns.T]
    np.testing.assert_allclose(evidence, expected, atol=1e-6)
    moments = []
    for column in born.columns.T:
        mean, covariance = at.coefficients(extra=column[:, None])
        moments.append(mean[3] ** 2 + covariance[3, 3])
    np.testing.assert_allclose(evidence - net, at.cost(born, np.array(moments)), rtol=1e-6)


@pytest.mark.parametrize("kind", ["joint", "squares"])
def test_gain_is_the_fall_of_the_data_term(seen, dense, born, kind):
    at, (gain, net) = dense[kind], seen[kind]["gain"]
    expected = [at.data_term() - at.data_term(extra=column[:, None]) for column in born.columns.T]
    np.testing.assert_allclose(gain, expected, rtol=1e-6, atol=1e-9)
    own = born.log_prior(np.asarray(at.position.location)) if kind == "joint" else 0.0
    np.testing.assert_allclose(net, gain + own, rtol=1e-6)


def placed(position, i):
    """The position with a candidate in the dead slot."""
    pairs = zip(particles(position), CANDIDATES, strict=True)
    return position._replace(**Particles(*(leaf.at[2].set(new[i]) for leaf, new in pairs))._asdict())


@pytest.mark.parametrize("kind", ["joint", "squares"])
def test_the_energy_falls_by_the_gain_and_rises_again_by_the_worth(seen, compiled, position, kind):
    for i, net in enumerate(seen[kind]["gain"][1]):
        after = compiled(kind, placed(position, i), np.ones(K, bool))
        np.testing.assert_allclose(seen[kind]["value"] - after["value"], net, rtol=1e-6)
        np.testing.assert_allclose(after["worth"][2], net, rtol=1e-6)


def test_worth_of_evidence_is_what_removing_the_splat_costs(seen, dense):
    """The evidence exactly; of the Occam factors and priors, those of the splat itself."""
    at = dense["evidence"]
    lost = [at.log_evidence() - at.log_evidence(at.without(i)) for i in np.flatnonzero(LIVE)]
    cost = at.cost(at.splats, np.diag(at.moments()))[LIVE]
    np.testing.assert_allclose(seen["evidence"]["worth"][LIVE], lost - cost, rtol=1e-7)


@pytest.mark.parametrize("kind", ["joint", "squares"])
def test_worth_is_the_rise_of_the_energy(seen, compiled, position, kind):
    for i in np.flatnonzero(LIVE):
        without = compiled(kind, position, LIVE & (np.arange(K) != i))["value"]
        np.testing.assert_allclose(seen[kind]["worth"][i], without - seen[kind]["value"], rtol=1e-6)


def test_splats_out_of_each_others_reach_are_worth_what_the_energy_says():
    """Where no other splat's second moment moves, gain and worth are the whole change of the energy."""
    x = np.concatenate([np.linspace(low, low + 0.1, 8) for low in (0.0, 0.45, 0.9)])[:, None]
    y = np.sin(9 * x[:, 0]) + 0.1 * np.random.default_rng(0).normal(size=24)
    energy = neg_log_evidence(problem_of(y, x, 2, trend="none"))
    at = energy.start(2)
    at = at._replace(centre=jnp.array([[0.05], [0.95]]), excess=jnp.full((2, 1), np.log(0.02)))
    second = jax.tree.map(lambda leaf: leaf[1:], particles(at))

    def look(at, live):
        system = energy.system(at, live)
        return energy.value(at, live), energy.gain(system, at, second)[1], energy.worth(system, at)

    look = jax.jit(look)
    (alone, gain, _), (both, _, worth) = (look(at, jnp.asarray([True, other])) for other in (False, True))
    np.testing.assert_allclose(gain[0], alone - both, rtol=1e-9)
    np.testing.assert_allclose(worth[1], alone - both, rtol=1e-9)


# ---------------------------------------------------------------- splats that the data hardly see


SPACING = 1 / (GRID - 1)


def along_the_line(energy, centres, lengths):
    """Particles with these centres and lengths in one dimension."""
    excess = jnp.log(jnp.asarray(lengths) - energy.problem.box.floor)
    return Particles(excess[:, None], jnp.zeros((len(centres), 0)), jnp.asarray(centres)[:, None])


def test_a_splat_costs_what_the_data_that_see_it_leave_open():
    """Nothing if they are many; else 25 times the squared log of 1.5 over the sum of their squared heights."""
    y = bumps(0.3)
    y[30] = np.nan
    energy, length = energy_of(y), 0.3 * SPACING
    where = {"many data": 10.0, "one datum": 20.0, "a gap": 20.5, "a missing datum": 30.0}
    at = along_the_line(energy, SPACING * np.array(list(where.values())), np.array([4 * SPACING, *[length] * 3]))
    cost = -np.asarray(log_seen(energy.problem, geometry(energy.problem, at)))
    beside = 2 * np.exp(-((1 / 0.3) ** 2))  # squared heights at the neighbours of a splat on a datum
    seen = np.array([1 + beside, 2 * np.exp(-((0.5 / 0.3) ** 2)), beside]) + 1e-6
    assert cost[0] == 0.0
    np.testing.assert_allclose(cost[1:], 25 * np.log(1.5 / seen) ** 2, rtol=1e-4)
    assert 4 < cost[1] < cost[2] < cost[3]


@pytest.fixture
def flank():
    """The energy of a bump and, to the left of a gap, three data that rise like the flank of a tall splat."""
    noise = 0.003
    y = bumps(0.2, noise=noise)
    y[23:26], y[26:32] = noise * np.array([0.5, 4.0, 20.0]), np.nan
    energy = energy_of(y)
    at, sd = energy.start(1), np.log(noise / np.nanstd(y))
    excess = jnp.log(WIDTH - energy.problem.box.floor)[None, None]
    return energy, at._replace(centre=jnp.array([[0.2]]), excess=excess, noise={"sigma": jnp.asarray(sd)})


def best_beside(energy, at):
    """Of splats of many lengths around the flank's last datum: centre in spacings from it, and height over its y."""
    steps, lengths = np.meshgrid(np.linspace(-1, 6, 29), np.geomspace(0.01, 0.2, 20))
    born = along_the_line(energy, SPACING * (25 + steps.ravel()), lengths.ravel())
    # a function of its own, compiled anew, sees the constants as they are now
    _, net = jax.jit(lambda at: energy.gain(energy.system(at, jnp.ones(1, bool)), at, born))(at)
    best = int(jnp.argmax(net))
    assert net[best] > 0
    return steps.flat[best], np.exp(0.5 * (steps.flat[best] * SPACING / lengths.flat[best]) ** 2)


def test_a_flank_on_one_datum_raises_no_tall_splat_in_the_gap(flank, monkeypatch):
    """Planted fault: without the data's say the best splat stands in the gap, four times as high as any datum."""
    step, height = best_beside(*flank)
    assert abs(step) <= 0.25
    assert height < 1.1
    monkeypatch.setattr(evidence, "UNSEEN", 0.0)
    step, height = best_beside(*flank)
    assert step > 1
    assert height > 3


# ---------------------------------------------------------------- data that count twice


def tiled(energy):
    """The same energy of a table that holds every row twice."""
    return jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]) if leaf.shape[:1] == (N,) else leaf, energy)


def wider(splats):
    """Splats that all data see."""
    return splats._replace(excess=splats.excess + 1.0)


@eqx.filter_jit
def seen_by(energy, position, other):
    """Everything that the flow asks of an energy, at a position and on the way to another."""
    value, gradient = jax.value_and_grad(lambda at: energy.value(at, LIVE))(position)
    system, at = energy.system(position, LIVE), geometry(energy.problem, position)
    gain, worth = energy.gain(system, position, wider(CANDIDATES)), energy.worth(system, position)
    noise = transport._noise_step(energy, position, gradient.noise, jnp.asarray(0.3))
    rise = energy.value(other, LIVE) - value
    return rise, gradient, gain, worth[LIVE], transport.curvature(energy, at, system, LIVE), noise


@pytest.mark.parametrize("kind", ["evidence", "joint"])
def test_data_that_count_twice_are_a_table_that_holds_them_twice(made, position, kind):
    """But for splats that data hardly see: how many see them is asked of the table as it is."""
    position = wider(position)
    energy, other = made[kind], position._replace(noise={"sigma": position.noise["sigma"] - 0.5})
    once, doubled, table = (seen_by(e, position, other) for e in (energy, energy.repeated(2), tiled(energy)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8), doubled, table)
    assert not np.isclose(once[0], table[0], rtol=1e-3)


# ---------------------------------------------------------------- what the energies are made of


def test_tolerance_is_a_thousandth_of_a_nat_or_of_the_squares(made):
    value = jnp.asarray(20.0)
    assert {kind: float(energy.tolerance(value)) for kind, energy in made.items()} == {
        "evidence": 1e-3,
        "joint": 1e-3,
        "squares": 0.02,
    }


def test_a_start_is_strongly_typed_and_in_the_middle(made):
    at = made["evidence"].start(3)
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(at))
    assert all(leaf.dtype == float for leaf in jax.tree.leaves(at))
    np.testing.assert_array_equal(at.centre, np.full((3, 2), 0.5))
    np.testing.assert_array_equal(at.shear, 0.0)
    np.testing.assert_allclose(np.exp(at.excess), MEDIAN)
    np.testing.assert_allclose(np.exp(at.location), MEDIAN)
