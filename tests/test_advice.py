"""Advice before a fit: it speaks in the user's units and follows the model's own prior draws."""

import dataclasses
import inspect
import re

import numpy as np
import pandas as pd
import pytest

import bayesplat as bs
from bayesplat.advice import _turns
from tests.tables import BASE_PRIORS

MODEL = bs.SplatModel(6, prior=bs.Ridge())


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"depth (km)": np.sort(rng.uniform(0, 9, 40))})
    return x, pd.Series(rng.normal(size=40), name="heat flow")


@pytest.fixture(scope="module")
def advice(data):
    return bs.advise(*data, MODEL, draws=64)


def test_numbers_are_quantiles_of_the_prior_draws(advice):
    assert (advice.table["5%"] <= advice.table["median"]).all()
    assert (advice.table["median"] <= advice.table["95%"]).all()
    row = advice.table.loc["length of a splat (one sd), depth (km)"]
    np.testing.assert_allclose(row, np.quantile(advice.prior.lengths, (0.05, 0.5, 0.95)))
    row = advice.table.loc["sd of f over the data, heat flow"]
    np.testing.assert_allclose(row, np.quantile(advice.prior.f.std(1), (0.05, 0.5, 0.95)))


def test_draws_know_the_names_for_pictures(advice):
    assert advice.prior.names == ("depth (km)", "heat flow")


def test_only_models_give_advice(data):
    with pytest.raises(bs.BayesplatError, match="Expected `model` to be a SplatModel, got Ridge"):
        inspect.unwrap(bs.advise)(*data, bs.Ridge())


def test_units_are_the_users(advice, data):
    x, y = data
    other = bs.advise(1000 * x, 50 * y + 7, MODEL, draws=64).table
    factors = [50 if name.endswith("heat flow") else 1000 if name.endswith("(km)") else 1 for name in other.index]
    np.testing.assert_allclose(other, advice.table.mul(factors, axis=0), rtol=1e-6)


def test_lengths_follow_the_dial(advice, data):
    narrow = bs.advise(*data, bs.SplatModel(6, prior=bs.Ridge(), lengths=bs.Lengths(typical=0.02)), draws=64).table
    name = "length of a splat (one sd), depth (km)"
    assert narrow.loc[name, "median"] < 0.3 * advice.table.loc[name, "median"]
    assert narrow.loc["peaks and dips of f", "median"] > advice.table.loc["peaks and dips of f", "median"]


def test_sentences_say_what_to_type(advice):
    text = str(advice)
    assert "depth (km): splats of length" in text
    assert "Lengths(typical=L / 17" in text
    assert "inside the" in text


@pytest.mark.parametrize("n", [1, 60])
@pytest.mark.parametrize("trend", ["constant", "none"])
def test_constant_y_is_said_to_be_so_and_not_compared(n, trend):
    x, model = np.linspace(0, 9, n), dataclasses.replace(MODEL, trend=trend)
    first = bs.advise(x, np.full(n, 3.7), model, draws=64)
    assert first.sentences[0] == "y is constant: it has no spread to compare with what the prior expects."
    if trend == "constant" and n > 1:  # in the unit that the model takes, as reports after a fit have it
        assert first.table.loc["active splats, of 6", "5%"] < 6


def test_the_size_of_y_is_the_unit_of_the_model(data):
    x, y = data
    model = dataclasses.replace(MODEL, trend="none")
    advice = bs.advise(x, y + 0.5, model, draws=64)
    assert f"a root mean square of {np.sqrt(np.mean((y + 0.5) ** 2)):.3g}, inside the" in advice.sentences[0]
    row = advice.table.loc["root mean square of y over the data, heat flow"]
    np.testing.assert_allclose(row, np.quantile(np.sqrt(np.mean(advice.prior.y**2, 1)), (0.05, 0.5, 0.95)))
    assert "most of which is its mean" in bs.advise(x, y + 1000, model, draws=8).sentences[0]
    assert "an sd of" in bs.advise(x, y + 1000, MODEL, draws=8).sentences[0]


def test_turns_are_counted_in_the_order_of_x():
    rng = np.random.default_rng(1)
    x = rng.permutation(np.linspace(0, 1, 400))
    f = np.stack([np.sin(6 * np.pi * x), 0.01 * np.sin(40 * np.pi * x), x])
    np.testing.assert_array_equal(_turns(x, f, 0.1), [6, 0, 0])


def test_a_prior_that_expects_next_to_nothing_is_told_so(data):
    found = bs.advise(*data, bs.SplatModel(6, prior=bs.Ridge(scale=1e-6)), draws=64)
    assert found.table.loc["active splats, of 6", "95%"] == 0
    assert "shortest active splat, depth (km)" not in found.table.index


def test_the_noise_is_that_of_the_draws_where_it_varies(data):
    model = bs.SplatModel(6, prior=bs.Ridge(), likelihood=bs.Normal(noise="varying"))
    advice = bs.advise(*data, model, draws=64)
    noise = np.sqrt(np.mean((advice.prior.y - advice.prior.f) ** 2, axis=1))
    row = advice.table.loc["sd of the noise over the data, heat flow"]
    np.testing.assert_allclose(row, np.quantile(noise, (0.05, 0.5, 0.95)))


def test_repeated_inputs_are_no_closer_together():
    x = np.repeat(np.arange(10.0), 20)
    text = str(bs.advise(x, np.random.default_rng(0).normal(size=200), MODEL, draws=8))
    assert "over a range of 9 with data about 1 apart" in text


CODES = np.stack(np.meshgrid(np.arange(2.0), np.arange(4.0)), -1).reshape(-1, 2)
CAMPAIGNS = np.concatenate([0.01 * np.arange(20), 300 + 0.01 * np.arange(20)])


@pytest.mark.parametrize(("x", "apart"), [(np.repeat(CODES, 5, 0), ("1", "1")), (CAMPAIGNS, ("0.01",))])
def test_data_are_as_far_apart_as_neighbours_are(x, apart):
    text = str(bs.advise(x, np.random.default_rng(0).normal(size=40), MODEL, draws=8))
    assert tuple(re.findall(r"with data about (\S+) apart", text)) == apart


@pytest.mark.parametrize("prior", BASE_PRIORS.values(), ids=BASE_PRIORS)
def test_advice_that_is_followed_changes_the_prior(data, prior):
    model = bs.SplatModel(6, prior=prior)
    before = bs.advise(*data, model, draws=8)
    after = bs.advise(*data, dataclasses.replace(model, lengths=bs.Lengths(typical=0.02)), draws=8)
    changed = not np.array_equal(before.prior.lengths, after.prior.lengths)
    assert changed == ("Lengths(typical=" in str(before))


def test_two_inputs_have_the_shortest_active_splat_of_every_draw_and_data_as_far_apart_as_their_grid_is():
    rng = np.random.default_rng(0)
    x = np.stack(np.meshgrid(np.linspace(0, 1, 8), np.linspace(0, 1000, 8)), -1).reshape(64, 2)
    y = rng.normal(size=64)
    advice = bs.advise(x, y, MODEL, draws=64)
    active = advice.prior.contribution > 0.05 * y.std()
    pairs = zip(advice.prior.lengths, active, strict=True)
    shortest = [lengths[on, 1].min() for lengths, on in pairs if on.any()]
    np.testing.assert_allclose(advice.table.loc["shortest active splat, x2"], np.quantile(shortest, (0.05, 0.5, 0.95)))
    assert f"data about {1000 / 7:.2g} apart" in str(advice)
