"""Exact leave-one-out scores by fitting again without a datum, where importance weights cannot be trusted."""

from dataclasses import replace
from typing import Any

import numpy as np

from bayesplat._checks import expect, require
from bayesplat._lazy import xr
from bayesplat.diagnostics.convert import group
from bayesplat.diagnostics.loo import leave_one_out
from bayesplat.kfold import refit
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
    expect(post, Posterior, "a Posterior, from SplatModel.sample")
    model, loo = expect(post.spec, SplatModel, "a posterior of a SplatModel"), leave_one_out(post.data)
    bad = np.flatnonzero(loo.bad)
    require(
        bad.size <= most,
        f"Expected at most {most} data to refit, got {bad.size}; raise `most`, or use kfold, which costs fewer fits.",
    )
    data = post.table
    scores, below = np.full((2, data.y.size), np.nan)
    if "reloo" in post.data.children:
        known = group(post.data, "reloo")
        scores[:], below[:] = known["y"].values, known["pit"].values if "pit" in known else np.nan
    sampling = _sampling(post)
    with display("reloo", progress) as show:
        for count, i in enumerate(bad):
            show(count, bad.size, f"refit {count + 1} of {bad.size}")
            others = np.arange(data.y.size) != i
            try:
                without = refit(model, data.rows(others), seed, sampling).predictor
                found = [of(data.rows(~others))[0] for of in (without.log_density, without.cdf)]
            except KeyboardInterrupt:
                break
            scores[i], below[i] = found
    tree = post.data.copy()
    rows = {"obs": group(post.data, "observed_data")["obs"]}
    tree["reloo"] = xr.DataTree(xr.Dataset({"y": ("obs", scores), "pit": ("obs", below)}, rows))
    return replace(post, data=tree)


def _sampling(post: Posterior) -> dict[str, Any]:
    """The arguments of `sample` that made a posterior."""
    sizes = group(post.data, "posterior").sizes
    known = {name: post.info[name] for name in ("warmup", "target_accept", "max_tree_depth") if name in post.info}
    if post.info["method"] == "svi":
        known["guide"] = post.info["guide"]
    return {"method": post.info["method"], "chains": sizes["chain"], "draws": sizes["draw"], **known}
