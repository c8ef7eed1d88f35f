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
    return joined(chains).isel(sample=picks(weights, chains.sizes["draw"]))


def joined(chains: "xr.Dataset") -> "xr.Dataset":
    """All draws, chain after chain, along a first axis `sample`."""
    # xarray cannot stack what has no entries, such as the coefficients of no trend
    empty = [name for name, variable in chains.items() if variable.size == 0]
    stacked = chains.drop_vars(empty).stack(sample=("chain", "draw")).transpose("sample", ...)
    samples = stacked.sizes["sample"]
    nothing = {
        name: (("sample", *chains[name].dims[2:]), np.zeros((samples, *chains[name].shape[2:]))) for name in empty
    }
    return stacked.assign(nothing)


def picks(weights: Float[np.ndarray, " chains"], draws: int) -> Int[np.ndarray, " s"]:
    """Positions among all draws, chain after chain, that stand for the weighted mixture: as many as there are draws."""
    shares = counts(weights, weights.size * draws)
    return np.concatenate([c * draws + spread(share, draws) for c, share in enumerate(shares.tolist())])


def counts(weights: Float[np.ndarray, " m"], total: int) -> Int[np.ndarray, " m"]:
    """How many of `total` draws each part of a mixture gives: whole numbers that add up."""
    return np.diff(np.round(np.cumsum(weights) * total).astype(int), prepend=0)


def spread(share: int, draws: int) -> Int[np.ndarray, " share"]:
    """Positions of a share of the draws, evenly spread; they repeat where the share is more than there are."""
    return np.arange(share) * draws // max(share, 1)
