"""Chains joined into one sample, in proportion to their weights: what every number about a posterior is made from."""

import numpy as np
from jaxtyping import Float, Int

from bayesplat._lazy import xr
from bayesplat.diagnostics.convert import group


def chain_weights(tree: "xr.DataTree") -> Float[np.ndarray, " chains"]:
    """Weight of every chain: equal, unless chains disagreed and were stacked, or know their share of the evidence."""
    for source in ("stacking", "evidence"):
        if source in tree.children:
            return group(tree, source)["weight"].values
    chains = group(tree, "posterior").sizes["chain"]
    return np.full(chains, 1 / chains)


def pooled(tree: "xr.DataTree", name: str) -> "xr.Dataset":
    """One group with its chains joined along a first axis `sample`."""
    chains, weights = group(tree, name), chain_weights(tree)
    joined = chains.stack(sample=("chain", "draw")).transpose("sample", ...)
    return joined.isel(sample=picks(weights, chains.sizes["draw"]))


def picks(weights: Float[np.ndarray, " chains"], draws: int) -> Int[np.ndarray, " s"]:
    """Positions among all draws, chain after chain, that stand for the weighted mixture: as many as there are draws.

    Every chain gives its share, evenly spread over its draws, which repeat where the share is more than it has.
    """
    ends = np.round(np.cumsum(weights) * weights.size * draws).astype(int)
    counts = np.diff(ends, prepend=0)
    return np.concatenate([c * draws + np.arange(m) * draws // max(m, 1) for c, m in enumerate(counts)])
