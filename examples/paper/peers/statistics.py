"""What a statistician would try first: a Gaussian process, boosted trees, and wavelets for equispaced signals."""

import time
import warnings
from functools import partial

import numpy as np
import pywt
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel
from sklearn.model_selection import GridSearchCV, KFold
from threadpoolctl import threadpool_limits

from .fitted import Fitted

ROWS, LEARN = 2000, 1000
"""Most data of a Gaussian process, whose time grows with their cube, and most data that its lengths are learnt from."""

BEST_WAVELET = {"blocks": "haar", "bumps": "db2", "heavisine": "sym4", "doppler": "sym8"}
"""Best for each signal of haar, db2, db4, db8, sym4, sym8, coif3 against the truth: more than an analyst can know."""


def gaussian_process(x: np.ndarray, y: np.ndarray, *, seed: int = 0, kernel: str = "rbf", restarts: int = 1) -> Fitted:
    """Kernel "rbf" or "matern" (5/2) with a length for every input, and white noise, all by marginal likelihood.

    Beyond 1000 data the likelihood is that of a random thousand; the process is given up to 2000.
    """
    began = time.perf_counter()
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(y))[:ROWS]
    low, width = x.min(axis=0), np.ptp(x, axis=0)
    lengths, bounds = np.full(x.shape[1], 0.2), (1e-3, 1e2)
    shape = {"rbf": RBF(lengths, bounds), "matern": Matern(lengths, bounds, nu=2.5)}[kernel]
    prior = ConstantKernel(1.0, (1e-2, 1e4)) * shape + WhiteKernel(1e-2, (1e-12, 1e1))
    process = GaussianProcessRegressor(prior, normalize_y=True, n_restarts_optimizer=restarts, random_state=seed)
    with warnings.catch_warnings():
        # lengths at a bound are an answer (an input that does not matter), so is the least noise (data without any)
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit((x[rows[:LEARN]] - low) / width, y[rows[:LEARN]])
    if len(rows) > LEARN:
        process = GaussianProcessRegressor(process.kernel_, normalize_y=True, optimizer=None)
        process.fit((x[rows] - low) / width, y[rows])
    seconds = time.perf_counter() - began

    def band(new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, sd = process.predict((new - low) / width, return_std=True)
        noise = process.kernel_.k2.noise_level * y[rows].var()
        half = norm.ppf(0.95) * np.sqrt(np.maximum(sd**2 - noise, 0.0))
        return mean - half, mean + half

    note = f"{process.kernel_}; {len(rows)} data"
    return Fitted(lambda new: process.predict((new - low) / width), process.kernel_.n_dims, seconds, note, band)


def boosting(x: np.ndarray, y: np.ndarray, *, seed: int = 0) -> Fitted:
    """Boosted trees: size of trees and leaves by three-fold cross-validation, their number by early stopping."""
    began = time.perf_counter()
    trees = HistGradientBoostingRegressor(
        learning_rate=0.05,
        max_iter=2000,
        early_stopping=True,
        validation_fraction=0.15,
        n_iter_no_change=30,
        random_state=seed,
    )
    choices = {"max_leaf_nodes": [4, 16], "min_samples_leaf": [5, 20]}
    folds = KFold(3, shuffle=True, random_state=seed)
    search = GridSearchCV(trees, choices, cv=folds, scoring="neg_mean_squared_error")
    # threads that wait for each other on small data turn seconds into minutes where the cores are busy
    one_thread = partial(threadpool_limits, 1, "openmp")
    with one_thread():
        search.fit(x, y)

    def predict(new: np.ndarray) -> np.ndarray:
        with one_thread():
            return search.predict(new)

    parameters = search.best_estimator_.n_iter_ * search.best_params_["max_leaf_nodes"]
    note = f"{search.best_params_}; parameters: leaves at most"
    return Fitted(predict, parameters, time.perf_counter() - began, note)


def wavelets(
    x: np.ndarray,
    y: np.ndarray,
    *,
    seed: int = 0,
    wavelet: str = "sym8",
    noise: float | None = None,
    coarse: int = 3,
) -> Fitted:
    """Translation-invariant hard thresholding at noise * sqrt(2 log n), for increasing, equispaced x.

    `noise` is the sd of the noise, by default the median absolute detail of the finest level / 0.6745. Of n = 2^m data
    the 2^coarse coarsest coefficients stay. Predictions interpolate linearly between the data.
    """
    del seed  # nothing is drawn; all peers share one signature
    began = time.perf_counter()
    levels = pywt.swt_max_level(len(y)) - coarse
    if levels < 1 or not np.allclose(np.diff(x[:, 0]), (x[-1, 0] - x[0, 0]) / (len(x) - 1)):
        raise ValueError(f"Expected increasing equispaced x, their number a multiple of {2 ** (coarse + 1)}.")
    bands = pywt.swt(y, wavelet, levels)  # coarse to fine
    sd = np.median(np.abs(bands[-1][1])) / 0.6745 if noise is None else noise
    threshold = sd * np.sqrt(2 * np.log(len(y)))
    bands = [(smooth, pywt.threshold(detail, threshold, "hard")) for smooth, detail in bands]
    fit = pywt.iswt(bands, wavelet)
    # each coefficient of an orthonormal transform is here once for every shift: those of an average shift count
    kept = sum(np.count_nonzero(detail) / 2 ** (levels - j) for j, (_, detail) in enumerate(bands))
    return Fitted(
        lambda new: np.interp(new[:, 0], x[:, 0], fit),
        round(len(y) / 2**levels + kept),
        time.perf_counter() - began,
        f"{wavelet}, noise sd {sd:.3g}",
    )
