"""Posteriors from made-up draws with all that a report asks for: any method, noise and number of inputs."""

from dataclasses import replace

import numpy as np

import bayesplat as bs
from bayesplat.diagnostics.convert import to_datatree
from bayesplat.diagnostics.evidence import with_evidence
from bayesplat.scaling import fit_scaling
from tests.made_up import INPUTS, OUTPUT, K, N, made_up_draws

MODEL = bs.SplatModel(n_splats=K, prior=bs.Ridge())

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)> & 'co'",
    "[[hoffman2014]] $\\nope$",
    "{y} <b>&amp;",
)

INFO = {"seed": 7, "seconds": 12.3, "warmup": 40, "target_accept": 0.9, "max_tree_depth": 6, "interrupted": False}
VERSIONS = {"bayesplat": "0.1.0", "jax": "0.12.0", "numpyro": "0.22.0", "arviz": "1.3.0"}


def made(
    d=1, method="nuts", names=None, chains=2, draws=25, weights=None, still=(), likelihood=None, model=MODEL, **info
) -> bs.Posterior:
    """A Posterior that nobody sampled; with `weights`, its chains are stacked; inputs that are `still` do not vary."""
    rng = np.random.default_rng(d)
    x, y = rng.uniform(1, 9, (N, d)), 100 + 20 * rng.normal(size=N)
    x[:, list(still)] = 1013.25
    likelihood = likelihood or bs.Normal()
    spec = replace(model, likelihood=likelihood)
    scaling, usual = fit_scaling(x, y), (*INPUTS[:d], OUTPUT)
    field = likelihood.field(np.asarray(scaling.to_box(x)))
    drawn, before = (
        _with_noise(made_up_draws(rng, scaling.to_standard(y), d, *size), rng, len(field.offset))
        for size in ((chains, draws), (1, 60))
    )
    stats = _stats(method, rng, chains, draws)
    tree = to_datatree(spec, scaling, drawn, before, stats, x, y, np.arange(N), usual, field)
    if method == "smc":
        tree = with_evidence(tree, -150 - 0.4 * np.arange(chains))
    if weights:
        tree["stacking"] = tree["log_prior"].copy()
        tree["stacking"].dataset = tree["posterior"].to_dataset()[["chain"]].assign(weight=("chain", list(weights)))
    how = {"method": method, **INFO, "versions": VERSIONS, "dtype": "float64", "device": "cpu:0", **info}
    return bs.Posterior(spec, scaling, names or usual, tree, how)


def _with_noise(draw, rng, bumps):
    sigma = draw.values["sigma"] * np.exp(0.1 * rng.normal(size=draw.values["sigma"].shape))
    weight = {"noise_weight": np.zeros((*sigma.shape, bumps))} if bumps else {}
    return draw._replace(values={"sigma": sigma, **weight})


def _stats(method, rng, chains, draws):
    lp = rng.normal(size=(chains, draws))
    if method in ("svi", "laplace"):
        return {"lp": lp, "log_q": lp + 0.1 * rng.normal(size=lp.shape)}
    if method == "smc":
        return {"lp": lp, "acceptance_rate": np.full(lp.shape, 0.8)}
    no = np.zeros(lp.shape, bool)
    energy, none = rng.normal(size=lp.shape), np.zeros(lp.shape)
    return {"lp": lp, "energy": energy, "diverging": no, "reached_max_tree_depth": no, "teleported": none}


CASES = {
    "one input": {},
    "two inputs, stacked": {
        "d": 2,
        "weights": (0.9, 0.1),
        "model": replace(MODEL, prior=bs.RegularizedHorseshoe(n_active=2)),
    },
    "three inputs": {"d": 3, "model": replace(MODEL, prior=bs.Repulsive(bs.R2D2()))},
    "Student-t noise that varies, by svi": {
        "method": "svi",
        "chains": 1,
        "draws": 50,
        "guide": "lowrank",
        "likelihood": bs.StudentT("varying", df=5.0),
    },
    "smc": {"method": "smc", "model": replace(MODEL, prior=bs.StickBreaking()), "ess": 0.8, "sweeps": 2},
    "smc alone": {"method": "smc", "chains": 1},
    "laplace": {"method": "laplace", "model": replace(MODEL, prior=bs.Flat())},
    "few draws of boxes, interrupted": {
        "chains": 1,
        "draws": 4,
        "interrupted": True,
        "model": replace(MODEL, mother=bs.mothers.Box(64)),
    },
    "a constant input": {"d": 2, "still": (1,), "model": replace(MODEL, covariance="spherical")},
    "nothing shared": {"model": replace(MODEL, prior=bs.Flat())},
    "hostile names": {"d": 3, "names": HOSTILE},
}

DRAWN = set(CASES) - {"smc", "smc alone", "laplace", "a constant input", "nothing shared"}
"""Cases with their pictures, which take most of the time."""
