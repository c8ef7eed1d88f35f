"""Positions in unconstrained coordinates, and the frame that each splat carries."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesplat.devices import inference
from bayesplat.flow.evidence import neg_log_evidence
from bayesplat.flow.position import (
    Particles,
    frame,
    geometry,
    packed,
    particles,
    prior_precision,
    resized,
)
from tests.flow.bumps import problem_of

FAMILIES = [("spherical", 1), ("spherical", 2), ("diag", 2), ("full", 2), ("full", 3)]
K = 3


@pytest.fixture(scope="module", autouse=True)
def as_the_flow():
    with inference():
        yield


def problem(covariance, d):
    x = np.random.default_rng(0).uniform(size=(20, d))
    return problem_of(np.sin(5 * x[:, 0]), x, K, covariance=covariance)


def oblique(problem, seed=0):
    """Splats of every shape that the family has."""
    rng, family, d = np.random.default_rng(seed), problem.spec.scale_family, problem.d
    sizes = (family.n_lengths(d), family.n_shears(d), d)
    return Particles(*(rng.normal(mean, 0.7, (K, q)) for mean, q in zip((-2, 0, 0), sizes, strict=True)))


class Look(NamedTuple):
    """What the package says of particles."""

    frame: np.ndarray
    A: np.ndarray
    b: np.ndarray
    precision: np.ndarray


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda case: f"{case[0]} {case[1]}")
def case(request):
    """Particles of a family in d dimensions, its directions, and one compiled look."""
    with inference():
        bound = problem(*request.param)

        @jax.jit
        def look(at):
            place = geometry(bound, at)
            return Look(frame(bound, at), place.A, place.b, prior_precision(bound, place))

        yield (
            oblique(bound),
            bound.spec.scale_family.directions(bound.d),
            lambda at: jax.tree.map(np.asarray, look(at)),
        )


def test_the_frame_says_where_each_coordinate_takes_a_splat(case):
    """Moving coordinate j by t moves A by A t sum_s R_sj L_s and b by t A R_j, to first order."""
    (at, L, look), step = case, 1e-5
    here, column = look(at), 0
    assert here.frame.shape == (K, len(L) + here.b.shape[1], sum(leaf.shape[1] for leaf in at))
    for name, leaf in zip(at._fields, at, strict=True):
        for move in step * np.eye(leaf.shape[1]):
            up, down = (look(at._replace(**{name: leaf + sign * move})) for sign in (1, -1))
            relative, shift = np.split(here.frame[:, :, column], [len(L)], axis=1)
            dA = np.einsum("kab,ks,sbc->kac", here.A, relative, L)
            np.testing.assert_allclose((up.A - down.A) / (2 * step), dA, atol=1e-7)
            np.testing.assert_allclose((up.b - down.b) / (2 * step), np.einsum("kab,kb->ka", here.A, shift), atol=1e-7)
            column += 1


def test_the_prior_knows_log_lengths_and_centres_in_units_of_the_splat(case):
    at, L, look = case
    here, c = look(at), len(L)
    np.testing.assert_allclose(here.precision[:c], 0.6**-2, rtol=1e-12)
    for k, A in enumerate(here.A):
        # a centre that moves by t A e_s is uniform on 1.2 along every axis: variance 1.2^2 / 12
        known = [np.sum((A @ e) ** 2) / (1.2**2 / 12) for e in np.eye(len(A))]
        np.testing.assert_allclose(here.precision[c:, k], known, rtol=1e-9)


@pytest.fixture
def position():
    bound = problem("full", 2)
    at = neg_log_evidence(bound).start(K)
    return at._replace(**jax.tree.map(jnp.asarray, oblique(bound))._asdict())


def test_more_room_keeps_every_splat_and_repeats_the_last(position):
    wide = resized(position, 5)
    for before, after in zip(particles(position), particles(wide), strict=True):
        np.testing.assert_array_equal(after, before[np.array([0, 1, 2, 2, 2])])
    jax.tree.map(np.testing.assert_array_equal, tuple(wide[3:]), tuple(position[3:]))
    jax.tree.map(np.testing.assert_array_equal, resized(position, K), position)
    assert all(a.dtype == b.dtype for a, b in zip(jax.tree.leaves(wide), jax.tree.leaves(position), strict=True))


ORDERS = [([0, 1, 0, 1, 1], 1, [1, 3, 4, 0, 2]), ([0, 0, 1, 1, 1], 2, [2, 3, 4, 1, 0]), ([1, 1, 1], 3, [0, 1, 2])]


@pytest.mark.parametrize(("live", "turns", "order"), ORDERS, ids=["one mother", "two", "three"])
def test_live_splats_come_first_under_their_own_mothers(live, turns, order):
    np.testing.assert_array_equal(packed(np.array(live, bool), turns), order)
