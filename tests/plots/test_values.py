"""Pictures show the numbers that they were given: every curve, band, map and bar against its source."""

import equinox as eqx
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import bayesplat as bs
from bayesplat import plots
from bayesplat.plots import style
from bayesplat.results import PriorPredictive
from tests.made_up import INPUTS


def labelled(artists, label):
    """The one of these artists with a label."""
    (found,) = [artist for artist in artists if artist.get_label() == label]
    return found


def flat(post, group, name):
    """All draws of a variable at the data, chain after chain."""
    return post.data[group][name].values.reshape(-1, len(post.table.y))


def test_maps_are_those_of_the_prediction_and_not_transposed(posterior, monkeypatch):
    drawn = []

    def contourf(ax, *args, **how):
        drawn.append(args)
        return whole(ax, *args, **how)

    whole = Axes.contourf
    monkeypatch.setattr(Axes, "contourf", contourf)
    post = posterior(2)
    drawn_on = plots.bands(post, prob=0.8).axes[:2]
    first, second, mean = drawn[0]
    lows = [ax.get_xlim()[0] - first[0] for ax in drawn_on]
    assert all(-0.03 * np.ptp(first) < low < 0 for low in lows)  # dots at the edges are whole
    corner = post.predict([[first[-1], second[3]]], 0.8)
    np.testing.assert_allclose(mean[3, -1], corner.mean[0])
    np.testing.assert_allclose(drawn[1][2][3, -1], (corner.upper - corner.lower)[0])


def test_titles_in_a_part_of_a_figure_have_the_room_of_that_part():
    whole = plt.figure(figsize=(9.0, 4.0)).subplots()
    part = plt.figure(figsize=(9.0, 4.0)).subfigures(1, 2)[0].subplots()
    assert style.letters(part) == pytest.approx(style.letters(whole) / 2, abs=1)
    plt.close("all")


def test_prior_and_posterior_are_not_exchanged(posterior):
    post = posterior(1)
    ax = plots.prior_posterior(post).axes[0]
    x = np.sort(post.table.x[:, 0])
    order = np.argsort(post.table.x[:, 0])
    for name in ("prior", "posterior"):
        low, high = np.quantile(flat(post, name, "f"), (0.05, 0.95), axis=0)
        corners = labelled(ax.collections, f"90% band of f, {name}").get_paths()[0].vertices
        for edge in (low, high):
            expected = np.stack([x, edge[order]], 1)
            apart = np.abs(corners[:, None] - expected[None]).max(-1).min(0)
            assert apart.max() < 1e-9


def assert_shares(line, values):
    """A distribution function that begins at 0, and rises at the first value."""
    np.testing.assert_array_equal(line.get_xdata(), [values.min(), *np.sort(values)])
    np.testing.assert_allclose(line.get_ydata(), np.linspace(0, 1, len(values) + 1))


@pytest.mark.parametrize("n", [1, 20])
def test_shares_of_prior_draws_begin_at_none(n):
    rng = np.random.default_rng(0)
    f = rng.normal(size=(12, n))
    lengths, contribution = rng.uniform(size=(12, 5, 3)), rng.uniform(size=(12, 5))
    drawn = PriorPredictive(rng.uniform(size=(n, 3)), f, f, np.full(12, 0.5), lengths, contribution, (*INPUTS, "y"))
    for line, draw in zip(plots.prior(drawn).axes[0].lines, f, strict=True):
        assert_shares(line, draw)


def test_checks_draw_the_replicates_and_the_pit_that_they_name(posterior):
    post = posterior(1)
    before, after, calibration, _ = plots.checks(post).axes
    assert_shares(labelled(before.lines, "data"), post.table.y)
    known = {name: flat(post, f"{name}_predictive", "y") for name in ("prior", "posterior")}
    drawn = labelled(before.lines, "prior draws").get_xdata()[1:]
    assert np.any(np.all(np.isclose(np.sort(known["prior"]), drawn), axis=1))
    assert not np.any(np.all(np.isclose(np.sort(known["posterior"]), drawn), axis=1))
    grid, density = labelled(after.lines, "posterior draws").get_data()
    middle = np.sum(grid * density) / np.sum(density)
    assert np.abs(known["posterior"].mean(1) - middle).min() < 0.05 * known["posterior"].std()
    pit, share = labelled(calibration.lines, "LOO-PIT").get_data()
    np.testing.assert_allclose(np.unique(pit), np.unique([0.0, *post.overfitting().loo.pit, 1.0]))
    np.testing.assert_allclose((share + pit)[::2][:-1], (share + pit)[1::2])  # flat between two data


def test_bars_of_a_comparison_are_differences_and_their_errors():
    columns = {"elpd_diff": [0.0, -3.0], "dse": [0.0, 2.0], "active": [3.0, 9.5], "p_loo": [4.0, 8.0]}
    table = pd.DataFrame({**columns, "weight": [0.8, 0.2]}, index=pd.Index(["a", "b"], name="model"))
    (bars,) = plots.compare(bs.Comparison(table, "a scores highest.", {})).axes[0].containers
    dots, _, (errors,) = bars
    assert dots.get_xdata().tolist() == [0.0, -3.0]
    assert [np.ptp(one[:, 0]) for one in errors.get_segments()] == [0.0, 4.0]


def test_ellipses_have_the_covariance_of_their_splats(point_fit):
    fit = point_fit(2)
    A = np.array(fit.measure.A)
    A[:, 1, 0] = 0.7 * A[:, 0, 0]
    tilted = eqx.tree_at(lambda measure: measure.A, fit.measure, A)
    figure = plots.splats(bs.PointFit(fit.spec, fit.scaling, tilted, *(getattr(fit, n) for n in REST)))
    outlines = [patch.get_xy()[:-1] for patch in figure.axes[0].patches if len(patch.get_xy()) > 10]
    assert outlines
    for outline in outlines:
        ring = outline[:-1] if np.allclose(outline[0], outline[-1]) else outline
        covariance = 2 * np.cov(ring.T, bias=True)
        assert np.min(np.abs(A @ A.transpose(0, 2, 1) - covariance).max((1, 2))) < 1e-9


REST = ("trend", "sigma", "certificate", "runs", "x", "y", "names", "device")


def test_curves_of_the_prior_are_its_draws():
    rng = np.random.default_rng(0)
    x, f, y = rng.uniform(size=(20, 1)), rng.normal(size=(12, 20)), rng.normal(size=(12, 20))
    drawn = PriorPredictive(
        x, f, y, np.full(12, 0.5), rng.uniform(size=(12, 5, 1)), rng.uniform(size=(12, 5)), (INPUTS[0], "y")
    )
    ax = plots.prior(drawn).axes[0]
    order = np.argsort(x[:, 0])
    assert len(ax.lines) == 12
    for line, draw in zip(ax.lines, f, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.stack([x[order, 0], draw[order]], 1))


def test_energies_are_those_of_the_starts(point_fit):
    fit = point_fit(1)
    lines = plots.flow(fit).axes[0].lines
    np.testing.assert_array_equal(labelled(lines, "best start").get_ydata(), fit.runs[0].history)
    np.testing.assert_array_equal(labelled(lines, "other starts").get_ydata(), fit.runs[1].history)
    assert labelled(lines, "after the last transport").get_ydata() == pytest.approx(fit.energy)
