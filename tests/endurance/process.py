"""Samples a small model with a checkpoint and prints a digest of every draw: the process that tests kill.

Usage: process.py FOLDER
"""

import hashlib
import sys

import numpy as np

import bayesplat as bs

CHAINS, WARMUP, DRAWS = 2, 100, 300


def digest(post):
    """Changes with any bit of any draw."""
    found = hashlib.sha256()
    for group in ("posterior", "sample_stats", "log_likelihood", "prior"):
        for name, values in sorted(post.data[group].data_vars.items()):
            found.update(name.encode() + np.ascontiguousarray(values.values).tobytes())
    return found.hexdigest()


if __name__ == "__main__":
    x = np.linspace(0, 1, 40)
    y = np.sin(7 * x) + 0.1 * np.random.default_rng(0).normal(size=40)
    model = bs.SplatModel(n_splats=3, prior=bs.Ridge())
    post = model.sample(x, y, chains=CHAINS, warmup=WARMUP, draws=DRAWS, seed=1, checkpoint=sys.argv[1])
    print(digest(post))
