"""Every picture is a figure with the user's names and a legend, and leaves no trace in matplotlib."""

import dataclasses
import inspect
import re
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib import rcParams
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure

import bayesplat as bs
from bayesplat import plots
from bayesplat.devices import inference
from bayesplat.plots import style
from bayesplat.results import PriorPredictive
from tests import made_up
from tests.made_up import INPUTS, OUTPUT, K, N


def texts(figure):
    """Everything written as a label or title."""
    axes = [
        ax.get_xlabel() + "\n" + ax.get_ylabel() + "\n" + "\n".join(ax.get_title(loc) for loc in ("left", "center"))
        for ax in figure.axes
    ]
    notes = [note.get_text() for ax in figure.axes for note in ax.texts]
    return "\n".join(axes + notes).replace("\n", " ")


def legend_of(figure):
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    return [entry.get_text() for legend in legends for entry in legend.get_texts()]


@pytest.fixture(autouse=True)
def no_trace():
    """Global settings and pyplot's figures are as before."""
    before = dict(rcParams)
    yield
    assert dict(rcParams) == before
    assert plt.get_fignums() == []


@pytest.fixture
def comparison():
    columns = {"elpd_diff": [0.0, -3.0], "dse": [0.0, 2.0], "active": [3.0, 9.5], "p_loo": [4.0, 8.0]}
    table = pd.DataFrame({**columns, "weight": [0.8, 0.2]}, index=pd.Index(["horseshoe", "ridge"], name="model"))
    return bs.Comparison(table, "horseshoe scores highest, within the noise.", {})


def prior_draws(d):
    rng = np.random.default_rng(0)
    return PriorPredictive(
        rng.uniform(size=(20, d)),
        rng.normal(size=(12, 20)),
        rng.normal(size=(12, 20)),
        np.full(12, 0.5),
        rng.uniform(size=(12, 5, d)),
        rng.uniform(size=(12, 5)),
        (*INPUTS[:d], "y (sds)"),
    )


@pytest.mark.parametrize("d", [1, 2, 3])
def test_bands_of_any_number_of_inputs(posterior, d):
    figure = plots.bands(posterior(d))
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    assert all(name in texts(figure) for name in (*INPUTS[:d], OUTPUT))
    assert "data" in legend_of(figure)


def test_bands_say_what_they_are_and_hold_the_prediction(posterior):
    post = posterior(1)
    figure = plots.bands(post, prob=(0.8, 0.25))
    assert legend_of(figure) == [
        "data", "80% band of f", "25% band of f", "posterior mean of f", "80% interval of new data",
    ]  # fmt: skip
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    grid, mean = lines["posterior mean of f"].get_data()
    np.testing.assert_allclose(mean, post.predict(grid).mean)
    lower = lines["80% interval of new data"].get_ydata()
    np.testing.assert_allclose(lower, post.predict(grid, 0.8, "observation").lower)


def test_bands_span_the_inputs_asked_for(posterior):
    post = posterior(1)
    (ax,) = plots.bands(post, x=[3.0, 7.0], prob=0.5).axes
    assert ax.get_xlim() == (3.0, 7.0)


def test_partial_dependences_are_those_of_the_posterior_in_its_units(posterior):
    post = posterior(3)
    line = bs.plots.bands(post).axes[1].lines[0]
    expected = post.partial_dependence(1, line.get_xdata())
    np.testing.assert_allclose(line.get_ydata(), expected.mean)
    by_name = post.partial_dependence(post.names[1], line.get_xdata())
    np.testing.assert_array_equal(by_name.lower, expected.lower)
    inputs = post.data["constant_data"]["x"].values
    held = np.where(np.arange(3) == 1, line.get_xdata()[20], inputs)
    np.testing.assert_allclose(expected.mean[20], post.predict(held).mean.mean(), rtol=1e-6)


def test_curves_pass_through_the_data_however_narrow_their_features(posterior, point_fit):
    post = posterior(1)
    x = post.data["constant_data"]["x"].values[:, 0]
    for figure in (plots.bands(post), plots.bands(post, x=[1.0, 9.0]), plots.splats(post), plots.splats(point_fit(1))):
        lines = [line.get_xdata() for line in figure.axes[0].lines]
        grid = max(lines, key=len)
        seen = x[(x >= grid[0]) & (x <= grid[-1])]
        assert np.isin(seen, grid).all()
        assert (np.diff(grid) > 0).all()


def test_one_axes_is_asked_for_in_words():
    with pytest.raises(bs.BayesplatError, match=r"Expected `ax` to be one matplotlib Axes, .* got ndarray"):
        inspect.unwrap(style.canvas)(np.array([None, None]))


def test_inputs_that_never_vary_are_left_out_and_asking_warns():
    post = made_up.posterior(4, still=(1, 3))
    figure = plots.bands(post)
    assert [ax.get_xlabel() for ax in figure.axes if ax.get_visible()] == [INPUTS[0], INPUTS[2]]
    assert "2 of 4 inputs shown, constant ones left out" in figure.get_suptitle()
    with pytest.warns(UserWarning, match="2 of 3 values of `at` differ from all data in age .*, constant in the fit"):
        post.partial_dependence(1, [1000.0, 1013.25, 1020.0])
    with pytest.warns(UserWarning, match="1 of 2 values of `at` lie beyond the data"):
        post.partial_dependence(0, [5.0, 50.0])


@pytest.mark.parametrize(("d", "still"), [(2, (0,)), (2, (1,)), (2, (0, 1)), (3, (0, 1, 2)), (3, (0, 2))])
def test_the_picture_goes_by_the_inputs_that_vary_and_nobody_is_warned(d, still, recwarn):
    post = made_up.posterior(d, still)
    figure = plots.bands(post)
    (ax,) = figure.axes
    shown = [j for j in range(d) if j not in still] or [0]
    assert ax.get_xlabel() == INPUTS[shown[0]]
    assert figure.get_suptitle().endswith(", constant ones left out" if len(still) < d else ", all are constant")
    own = Figure().subplots()
    plots.bands(post, ax=own)
    assert f"1 of {d} inputs shown" in own.get_title().replace("\n", " ")
    assert not recwarn.list


def test_one_value_of_the_only_input_is_drawn_where_it_is(recwarn):
    post = made_up.posterior(1, still=(0,))
    (ax,) = plots.bands(post).axes
    (mean,) = [line for line in ax.lines if line.get_label() == "posterior mean of f"]
    np.testing.assert_allclose(mean.get_ydata(), post.predict([1013.25]).mean[0])
    at, (low, high) = mean.get_xdata(), ax.get_xlim()
    assert at.mean() == pytest.approx(1013.25)
    assert 0 < np.ptp(at) < 0.1 * (high - low)
    assert not recwarn.list


@pytest.mark.parametrize("along", ["weather", 3, -1, 0.5])
def test_an_input_that_is_not_there_is_refused(posterior, along):
    with pytest.raises(bs.BayesplatError, match=r"Expected `along` to be one of .* or a number below 3, got"):
        posterior(3).partial_dependence(along, [0.0])


def test_maps_show_mean_and_width(posterior):
    labels = texts(plots.bands(posterior(2), prob=0.8))
    assert "posterior mean" in labels
    assert "width of the 80% band" in labels


@pytest.mark.parametrize("d", [1, 2, 3])
def test_splats_of_any_number_of_inputs(posterior, point_fit, d):
    for shown, count in ((posterior(d), K - 1), (point_fit(d), K - 2)):  # one negligible; and one dead
        figure = plots.splats(shown)
        assert isinstance(figure, Figure)
        figure.draw_without_rendering()
        assert all(name in texts(figure) for name in (*INPUTS[:d], OUTPUT))
        assert f"{count} of {K} splats shown" in texts(figure)
        assert legend_of(figure)


@pytest.mark.parametrize("d", [3, 6, 12])
def test_the_title_of_bars_and_the_heads_of_their_columns_keep_apart(d):
    post = made_up.posterior(d)
    figure = plots.splats(post)
    figure.draw_without_rendering()
    (panel,) = figure.axes
    title, heads = panel.title, [one for one in panel.texts if one.get_text() in post.names]
    assert len(heads) == d
    assert title.get_window_extent().x0 >= 0
    assert not any(head.get_window_extent().overlaps(title.get_window_extent()) for head in heads)


def test_bars_beyond_what_a_page_holds_are_left_out_and_the_title_says_so(point_fit, monkeypatch):
    monkeypatch.setattr(sys.modules["bayesplat.plots.splats"], "BARS", 1)
    figure = plots.splats(point_fit(3))
    assert f"The 1 largest of {K} splats shown" in texts(figure)
    assert len(figure.axes[0].patches) == 1


@pytest.mark.parametrize("d", [1, 2, 3])
def test_splats_of_other_draws_stand_faintly_behind(posterior, point_fit, d):
    def others(shown):
        return any("other draws" in entry for entry in legend_of(plots.splats(shown)))

    assert others(posterior(d)) == (d < 3)
    assert not others(point_fit(d))


def test_faint_curves_are_the_splats_of_draws(posterior):
    post = posterior(1)
    lines = [line for line in plots.splats(post).axes[0].lines if line.get_alpha() == 0.2]
    draw = post.data["posterior"].to_dataset().isel(chain=0, draw=0)  # the first of those evenly spread
    measure = bs.SplatMeasure(
        draw["v"].values[:, None], draw["A"].values, draw["b"].values, np.ones(K, bool), post.spec.mother
    )
    grid = lines[0].get_xdata()
    with inference():
        trend = lines[0].get_ydata() - sys.modules["bayesplat.plots.splats"]._terms(measure, grid[:, None])[:, 0]
    assert np.ptp(trend) < 1e-9  # a constant, as the trend is
    assert len(lines) > K


def test_splats_of_a_posterior_come_from_its_best_draw(posterior):
    assert "chain 1, draw 24" in texts(plots.splats(posterior(1)))


def test_copies_of_a_splat_are_drawn_once_and_counted(point_fit):
    figure = plots.splats(point_fit(1))
    assert "×2" in [note.get_text() for note in figure.axes[0].texts]


def test_curve_of_all_splats_is_the_prediction(point_fit):
    fit = point_fit(1)
    lines = {line.get_label(): line for line in plots.splats(fit).axes[0].lines}
    grid, total = lines["trend + all splats"].get_data()
    np.testing.assert_allclose(total, fit.predict(grid), rtol=1e-10)


def test_a_fit_without_splats_can_be_drawn(point_fit):
    for d in (1, 2, 3):
        fit = point_fit(d)
        fit.measure.live[:] = False
        assert f"0 of {K} splats shown" in texts(plots.splats(fit))


def test_checks(posterior):
    post = posterior(1)
    figure = plots.checks(post)
    figure.draw_without_rendering()
    assert len(figure.axes) == 4
    assert texts(figure).count(OUTPUT) == 2
    known = np.concatenate([line.get_xdata() for line in figure.axes[3].lines if line.get_marker() == "o"])
    assert set(known) <= set(post.table.x[:, 0])
    assert figure.axes[3].get_xlabel() == INPUTS[0]
    assert "row of the data" in plots.checks(posterior(2)).axes[3].get_xlabel()
    assert {"data", "prior draws", "posterior draws", "LOO-PIT", "99% simultaneous KS band"} <= set(legend_of(figure))
    loo = post.overfitting().loo
    assert f"{loo.n_bad} of {N}" in texts(figure)
    assert any(label.startswith(f"limit {loo.good_k:.2f}") for label in legend_of(figure))


def ranks_of(post):
    """The lines of every chain, panel by panel, and how far the band of each panel reaches."""
    figure = plots.ranks(post)
    figure.draw_without_rendering()
    lines = [[line.get_ydata() for line in ax.lines if line.get_label().startswith("chain")] for ax in figure.axes]
    return figure, lines, [ax.patches[0].get_extents().transformed(ax.transData.inverted()).y1 for ax in figure.axes]


def test_ranks_of_chains_that_agree_stay_in_the_band_and_others_leave_it(posterior):
    post, rng = posterior(1), np.random.default_rng(0)
    sigma = post.data["posterior"]["sigma"]
    sigma.values[:] = rng.normal(size=sigma.shape)
    figure, lines, reach = ranks_of(post)
    assert [len(chains) for chains in lines] == [post.data["posterior"].sizes["chain"]] * 3
    assert [np.abs(chains).max() < limit for chains, limit in zip(lines, reach, strict=True)] == [True] * 3
    assert f"f at {INPUTS[0]} = " in texts(figure)
    sigma.values[1] += 5.0
    _, lines, reach = ranks_of(post)
    assert [np.abs(chains).max() < limit for chains, limit in zip(lines, reach, strict=True)] == [True, False, True]
    # the mean rank of a chain is that of its draws among all
    ranks = np.argsort(np.argsort(sigma.values.ravel())).reshape(sigma.shape)
    np.testing.assert_allclose(lines[1][1][1:-1].mean(), 0.5 - (ranks[1].mean() + 0.5) / ranks.size, atol=1e-9)


def test_the_place_of_ranks_has_digits_that_tell_data_apart(posterior):
    post = posterior(1)
    x = post.data["constant_data"]["x"]
    x.values[:] += 2451545.0  # a Julian date, over a few days
    found = re.search(rf"{re.escape(INPUTS[0])} =\s([\d.]+)", texts(plots.ranks(post)))
    assert np.abs(x.values - float(found[1])).min() < 0.01 * post.scaling.extent[0]


def test_ranks_of_one_chain_are_refused(posterior):
    post = posterior(1)
    alone = post.data.map_over_datasets(lambda group: group.isel(chain=[0], missing_dims="ignore"))
    with pytest.raises(bs.BayesplatError, match="at least two chains"):
        plots.ranks(dataclasses.replace(post, data=alone))


def test_degenerate_pareto_k_is_a_cross_at_the_top(posterior, monkeypatch):
    post = posterior(1)
    loo = post.overfitting().loo
    khat = np.where(np.arange(N) == 4, np.nan, loo.khat)
    monkeypatch.setattr(sys.modules["bayesplat.plots.checks"], "leave_one_out", lambda tree: loo._replace(khat=khat))
    ax = plots.checks(post).axes[3]
    (cross,) = [line for line in ax.lines if line.get_marker() == "x"]
    assert list(cross.get_xdata()) == [post.table.x[4, 0]]
    assert cross.get_ydata()[0] >= np.nanmax(khat)


def test_compare_puts_the_best_on_top(comparison):
    figure = plots.compare(comparison)
    figure.draw_without_rendering()
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["horseshoe", "ridge"]
    assert ax.yaxis_inverted()
    assert {"3.0", "9.5", "8.0", "0.20"} <= {note.get_text() for note in ax.texts}
    assert "nats" in ax.get_xlabel()
    assert legend_of(figure)


def test_flow_shows_every_start_and_why_it_stopped(point_fit):
    fit = point_fit(1)
    figure = plots.flow(fit)
    figure.draw_without_rendering()
    assert "no move lowered the energy" in texts(figure)
    assert "1.25 nats" in texts(figure)
    assert "move" in texts(figure)
    certificate = "certificate of the best start, at the right"
    assert legend_of(figure) == ["other starts", "best start", "after the last transport", certificate]
    histories = [line.get_ydata() for line in figure.axes[0].lines if len(line.get_ydata()) > 1]
    assert len(histories) == 3


@pytest.mark.parametrize("d", [1, 2, 3])
def test_prior(d):
    figure = plots.prior(prior_draws(d))
    figure.draw_without_rendering()
    assert "y (sds)" in texts(figure)


@pytest.mark.parametrize("d", [1, 2])
def test_prior_and_posterior_side_by_side(posterior, d):
    post = posterior(d)
    figure = plots.prior_posterior(post)
    figure.draw_without_rendering()
    assert f"active splats, of {K}" in texts(figure)
    assert (INPUTS[0] if d == 1 else "in the order of their fitted value") in texts(figure)
    assert legend_of(figure) == ["data", "90% band of f, prior", "90% band of f, posterior", "posterior mean of f"]
    # the histograms hold the draws: shares of all that lie inside
    active = figure.axes[2].patches
    assert sum(bar.get_height() for bar in active) == pytest.approx(2.0)


def test_flow_shows_what_one_more_splat_would_gain(point_fit):
    figure = plots.flow(point_fit(1))
    dots = figure.axes[1].lines[0]
    np.testing.assert_array_equal(dots.get_xdata(), [1, 2])
    np.testing.assert_array_equal(dots.get_ydata(), [30.0, 1.25])
    assert "one more splat would gain" in figure.axes[1].get_ylabel()


@pytest.mark.parametrize("draw", ["bands", "splats", "compare", "flow", "prior"])
def test_drawing_into_the_users_axes(posterior, point_fit, comparison, draw):
    subject = {"compare": comparison, "flow": point_fit(1), "prior": prior_draws(1)}.get(draw, posterior(1))
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert getattr(plots, draw)(subject, ax=right) is figure
    assert right.has_data()
    assert right.get_legend() is not None
    assert not left.has_data()


@pytest.mark.parametrize("draw", ["bands", "splats", "checks", "compare", "flow", "prior", "prior_posterior", "ranks"])
def test_the_wrong_object_is_refused(draw):
    with pytest.raises(bs.BayesplatError, match=r"Expected .*, got int"):
        getattr(plots, draw)(3)


def test_one_axes_for_several_panels_is_refused(posterior):
    for d in (2, 3):
        with pytest.raises(bs.BayesplatError, match="Expected no `ax`"):
            plots.bands(posterior(d), ax=Figure().subplots())
    with pytest.raises(bs.BayesplatError, match="Expected no `ax`"):
        plots.prior(prior_draws(2), ax=Figure().subplots())


def test_an_impossible_probability_is_refused(posterior):
    with pytest.raises(bs.BayesplatError, match="`prob` strictly between 0 and 1"):
        plots.bands(posterior(1), prob=(0.5, 90.0))


@pytest.mark.parametrize("name", ["cost ($)", "from $10 to $20", "$\\nope$", r"escaped \$5"])
def test_dollars_are_dollars(name):
    wrapped = style.wrap(name, 40)
    assert not is_math_text(wrapped)
    assert wrapped.replace(r"\$", "$") == name  # as matplotlib does with text that is no formula


def test_a_notebook_can_show_the_figure(point_fit):
    assert plots.flow(point_fit(1))._repr_png_().startswith(b"\x89PNG")
