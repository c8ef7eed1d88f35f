"""Every sign of trouble that a report can name: a fit that has it and nothing else, and its twin that has nothing."""

import numpy as np
import pytest

from bayesplat.devices import inference
from bayesplat.flow.report import report
from bayesplat.measure import SplatMeasure
from bayesplat.mothers import Box, Gaussian, Mixed, StudentT
from tests.flow.bumps import X

DATUM = X[27, 0]
SOUND = {
    "amplitude": (1.0, -0.8, 0.0),
    "centre": (0.25, DATUM, 0.5),
    "length": (0.05, 0.05, 0.05),
    "live": (True, True, False),
    "mother": Gaussian(),
    "energies": [0.0, 0.5],
    "certificate": -1.0,
    "spent": False,
}
EVERY = (True, True, True)
OUTSIDE = {"centre": (0.25, 1.1, 0.5), "length": (0.05, 0.1, 0.05)}


def judged(**changes):
    """The report of two bumps, one splat spare, with changes."""
    fit = SOUND | changes
    with inference():
        amplitude, b = np.array(fit["amplitude"])[:, None], np.array(fit["centre"])[:, None]
        A = np.array(fit["length"])[:, None, None]
        measure = SplatMeasure.from_amplitude(amplitude, A, b, fit["mother"], np.array(fit["live"]))
    gains = fit["certificate"], fit.get("unplaced", fit["certificate"])
    return report(measure, X, 1.0, fit["energies"], *gains, fit["spent"], fit.get("residual", np.zeros(len(X))))


MIXED = {"mother": Mixed((Gaussian(), Box())), "live": (True, True, False)}
PAIR = {"centre": (0.25, DATUM, 0.25), "live": EVERY}
WAVE = np.sin(8 * np.pi * X[:, 0])
SIGNS = [
    (
        "Residuals of neighbouring data are alike (correlation 0.71)",
        {"residual": WAVE},
        {"residual": np.random.default_rng(0).permutation(WAVE)},
    ),
    (
        "1 pair of splats cancels in one place",
        PAIR | {"amplitude": (1.0, -0.8, -0.95)},
        PAIR | {"amplitude": (1.0, -0.8, 0.95)},
    ),
    ("1 splat rests on a single datum", {"length": (0.05, 0.005, 0.05)}, {"length": (0.05, 0.02, 0.05)}),
    (
        "1 splat reaches no datum and changes nothing",
        {"centre": (0.25, DATUM, 3.0), "live": EVERY},
        {"centre": (0.25, DATUM, 3.0)},
    ),
    ("1 centre lies outside the data", OUTSIDE | {"mother": StudentT(1.0)}, OUTSIDE | {"mother": StudentT(5.0)}),
    ("1 centre lies outside the data", OUTSIDE | {"mother": StudentT(1.0)}, {"mother": StudentT(1.0)}),
    ("one more would gain 2.0 nats", {"live": EVERY, "certificate": 2.0}, {"live": EVERY, "certificate": 0.9}),
    ("All 3 splats are at work", {"live": EVERY, "certificate": 2.0}, {"certificate": 2.0}),
    ("All splats of one mother are at work", MIXED | {"certificate": 2.0}, {"certificate": 2.0}),
    (
        "All splats of one mother are at work",
        MIXED | {"certificate": 3.0, "unplaced": 2.0},
        MIXED | {"certificate": 3.0, "unplaced": -1.0},
    ),
    ("All 3 splats are at work", MIXED | {"live": EVERY, "certificate": 2.0}, MIXED),
    ("ended 3.0 nats apart", {"energies": [40.0, 3.0, 0.0]}, {"energies": [40.0, 1.9, 0.0]}),
    ("ended 3.0 nats apart", {"energies": [0.0, 3.0]}, {"energies": [0.0]}),
    ("still moving when its budget ended", {"spent": True}, {}),
]


@pytest.mark.parametrize(("words", "planted", "twin"), SIGNS)
def test_a_planted_failure_is_named_alone_and_its_twin_is_sound(words, planted, twin):
    (sign,) = judged(**planted).signs
    assert words in sign
    assert f"\n! {sign}" in str(judged(**planted))
    assert judged(**twin).ok


def test_several_failures_are_all_named():
    found = judged(spent=True, energies=[0.0, 3.0])
    assert len(found.signs) == 2
    assert not found.ok


def test_a_fit_without_splats_has_nothing_wrong_with_them():
    found = judged(live=(False, False, False))
    assert found.ok
    assert found.to_frame().loc["live splats", "value"] == "0 of 3"


def test_the_table_says_what_was_counted():
    rows = judged(**OUTSIDE, energies=[1.0, 0.25], certificate=0.75).to_frame()["value"]
    assert rows["live splats"] == "2 of 3"
    assert rows["centres outside the data"] == 1
    assert rows["best two starts apart"] == "0.75 nats"
    assert rows["one more splat would gain"] == "0.75 nats at most"
    assert judged(energies=[1.0]).to_frame().loc["best two starts apart", "value"] == "one start only"
