import numpy as np
import pytest

from bayesplat.scaling import ROUNDING, fit_scaling, rounding

X = np.array([[1.0, -5.0, 3.0], [3.0, -5.0, 4.0], [2.0, -5.0, 7.0], [1.5, -5.0, 3.5]])
Y = np.array([10.0, np.nan, 30.0, 20.0])


def test_inputs_fill_the_unit_box():
    box = fit_scaling(X, Y).to_box(X)
    np.testing.assert_allclose(box.min(0), 0.0, atol=1e-15)
    np.testing.assert_allclose(box.max(0), [1.0, 0.0, 1.0])


def test_observed_outputs_have_mean_zero_and_sd_one():
    y = fit_scaling(X, Y).to_standard(Y)
    np.testing.assert_allclose((np.nanmean(y), np.nanstd(y)), (0.0, 1.0), atol=1e-15)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(Y))


def test_the_maps_are_affine_and_undone_by_their_numbers():
    scaling, x = fit_scaling(X, Y), np.random.default_rng(0).normal(size=(6, 3))
    np.testing.assert_allclose(scaling.low + scaling.extent * scaling.to_box(x), x, rtol=1e-12)
    np.testing.assert_allclose(scaling.mean + scaling.sd * scaling.to_standard(x[:, 0]), x[:, 0], rtol=1e-12)


@pytest.mark.parametrize(
    ("y", "sd"),
    [
        ([5.0, 5.0, 5.0], 1.0),
        ([0.0, 0.0, 0.0], 1.0),
        ([1e9, 1e9 + 2e-7, 1e9], 1.0),  # a spread below rounding is no spread
        ([4.0], 1.0),
        ([1e-12, 3e-12], 1e-12),
        ([-1e-170, 3e-170], 2e-170),  # whose squares are zero
        ([-1e200, 3e200], 2e200),  # and no numbers
        ([2.0**30, 2.0**30 + 2.0**-16], 2.0**-17),
    ],
)
def test_constant_outputs_keep_their_scale(y, sd):
    x = np.arange(float(len(y)))[:, None]
    np.testing.assert_allclose(fit_scaling(x, np.array(y)).sd, sd)


def test_without_a_trend_zero_stays_zero():
    y = np.array([101.0, 102.0, np.nan, 103.0])
    scaling = fit_scaling(np.arange(4.0)[:, None], y, centred=False)
    assert scaling.mean == 0
    np.testing.assert_allclose(np.nanmean(scaling.to_standard(y) ** 2), 1)


@pytest.mark.parametrize(
    ("low", "high", "extent"),
    [
        (2.0, 2.0, 1.0),
        (0.0, 0.0, 1.0),
        (1e9, 1e9 + 3e-7, 1.0),
        (0.0, 2.0, 2.0),
        (2.0**31, 2.0**31 + 2.0**-10, 2.0**-10),
    ],
)
def test_constant_inputs_keep_their_scale(low, high, extent):
    x = np.array([[low], [high]], float)
    np.testing.assert_allclose(fit_scaling(x, np.array([0.0, 1.0])).extent, extent)


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        ([0.1, 0.7], 2.0**-53),
        (np.float32([0.1, 0.7]), 2.0**-24),
        ([1e7, 1e7 + 1], 2.0**-29),  # whole numbers have all their digits in float32, too
        ([1.7e9, 1.7e9 + 1], 2.0**-22),
        (np.float32([1.7e9, 1.7e9 + 128]), 128.0),
        ([0.5, 1e100], np.spacing(1e100)),
    ],
)
def test_rounding_is_that_of_the_precision_that_numbers_came_in(column, unit):
    x = np.asarray(column, float)[:, None]
    np.testing.assert_array_equal(rounding(x), [ROUNDING * unit])
    np.testing.assert_array_equal(rounding(x, 2 * x), [ROUNDING * np.spacing(2 * x).max() * unit / np.spacing(x).max()])
