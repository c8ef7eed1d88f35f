"""Exact leave-one-out scores by fitting again without a datum, where importance weights cannot be trusted."""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from bayesplat._checks import require
from bayesplat.diagnostics.convert import group
from bayesplat.diagnostics.loo import leave_one_out
from bayesplat.progress import display
from bayesplat.regression import SplatModel
from bayesplat.results import Posterior

MOST = 20
"""Refits allowed unless the user allows more: beyond, k-fold cross-validation is cheaper."""


def reloo(post: Posterior, most: int = MOST, seed: int = 0, progress: bool | None = None) -> Posterior:
    """The posterior with exact leave-one-out scores of the data whose Pareto k-hat is too large.

    Each of them is left out, the model is fitted again as `post` was, and the datum is scored. `compare`,
    `overfitting` and files take the scores from then on. Ctrl-C keeps the scores that are done. Raises BayesplatError
    where more than `most` data need it: use `bs.kfold` then.
    """
    loo = leave_one_out(post.data)
    bad = np.flatnonzero(~(loo.khat <= loo.good_k))
    require(
        bad.size <= most,
        f"Expected at most {most} data to refit, got {bad.size}; raise `most`, or use kfold, which costs fewer fits.",
    )
    x, y = group(post.data, "constant_data")["x"].values, group(post.data, "observed_data")["y"].values
    scores = group(post.data, "reloo")["y"].values if "reloo" in post.data.children else np.full(y.size, np.nan)
    with display("reloo", progress) as show:
        for count, i in enumerate(bad):
            show(count, bad.size, f"refit {count + 1} of {bad.size}")
            refit = _without(post, x, y, int(i), seed)
            if refit.info["interrupted"]:
                break
            scores[i] = refit.log_predictive_density(x[[i]], y[[i]])[0]
    tree = post.data.copy()
    tree["reloo"] = xr.DataTree(xr.Dataset({"y": ("obs", scores)}, {"obs": group(post.data, "observed_data")["obs"]}))
    return replace(post, data=tree)


def _without(post: Posterior, x: np.ndarray, y: np.ndarray, i: int, seed: int) -> Posterior:
    """The same model, sampled in the same way, without datum i."""
    model, kept = post.spec, np.arange(y.size) != i
    assert isinstance(model, SplatModel)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they would say the same once for every refit
        return model.sample(x[kept], y[kept], post.info["method"], seed=seed, progress=False, **_budget(post))


def _budget(post: Posterior) -> dict[str, Any]:
    """The arguments of `sample` that made a posterior."""
    sizes = group(post.data, "posterior").sizes
    known = {name: post.info[name] for name in ("warmup", "target_accept", "max_tree_depth") if name in post.info}
    if post.info["method"] == "svi":
        known["guide"] = post.info["guide"]
    return {"chains": sizes["chain"], "draws": sizes["draw"], **known}
