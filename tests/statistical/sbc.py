"""Simulation-based calibration (talts2018): data from the prior, draws by the package's own sampler, uniform ranks.

Every simulation draws parameters from the prior and data from them, samples with the whole of NUTS, teleports and
interweaving, starting where the data came from, and ranks the truth among thinned draws: f at three points, the noise,
and the log likelihood, which feels faults that the others do not. All simulations of a prior run in one compiled loop.
`PYTHONPATH=tests uv run python -m statistical.sbc` draws the picture of docs/calibration.md.
"""

import argparse
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from posterior.problems import problem_of
from scipy import stats
from statistical import law_p_value

from bayesplat import collapsed
from bayesplat.likelihoods import Normal, StudentT
from bayesplat.model import with_trend
from bayesplat.plots import style
from bayesplat.posterior import nuts
from bayesplat.priors import R2D2, Flat, RegularizedHorseshoe, Ridge, StickBreaking
from bayesplat.priors.sites import draw, unconstrain

K, SIMULATIONS, CHUNKS, SKIP, THIN = 2, 200, 20, 8, 15
"""Splats; data sets; stretches of nuts.CHUNK steps, of which so many are warm-up; draws between two that are ranked."""

SETTINGS = nuts.Settings(warmup=SKIP * nuts.CHUNK, draws=0, max_tree_depth=4, pool=8)
QUANTITIES = ("f at 0", "f at 0.5", "f at 1", "noise sd at 0", "log likelihood")
POINTS = np.array([0, 7, 14])
PRIORS = {
    "ridge": Ridge(),
    "horseshoe": RegularizedHorseshoe(n_active=1),
    "r2d2": R2D2(),
    "stick-breaking": StickBreaking(),
    "flat": Flat(),
}
CASES = {
    **{name: {"prior": prior} for name, prior in PRIORS.items()},
    "varying noise": {"prior": Ridge(), "likelihood": Normal("varying")},
    "student-t noise": {"prior": Ridge(), "likelihood": StudentT()},
}


def judged(problem, values, coefficients):
    """What is ranked (5,): f at three points, the noise sd at one, and the log likelihood."""
    f = problem.features(problem.geometry(values)) @ coefficients
    sd = problem.spec.likelihood.sd(values, problem.noise_features)
    log_likelihood = jnp.sum(problem.spec.likelihood.log_density(problem.y, f, sd))
    return jnp.concatenate([f[POINTS], sd[:1], log_likelihood[None]])


def simulate(problem, key, fault=None):
    """Ranks (5,) of the truth among thinned posterior draws of data that it made, and their number."""
    keys = jax.random.split(key, 5)
    spec, values = problem.spec, draw(problem.sites(), keys[0])
    columns = problem.features(problem.geometry(values))
    scales = with_trend(spec.prior.scales(values, problem.context, values["sigma"]), columns.shape[1])
    coefficients = scales * jax.random.normal(keys[1], scales.shape)
    sd = spec.likelihood.data_sd(values, problem.noise_features) * (1.5 if fault == "noise scale" else 1.0)
    y = columns @ coefficients + sd * jax.random.normal(keys[2], problem.y.shape)
    one = eqx.tree_at(lambda problem: problem.y, problem, y)

    def chunk(state, _):
        state, (drawn, _) = nuts._advance(one, SETTINGS, state)
        return state, drawn

    state = nuts._start(one, SETTINGS, unconstrain(problem.sites(), values), keys[3])
    drawn = jax.lax.scan(chunk, state, length=CHUNKS)[1]
    drawn = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[SKIP * nuts.CHUNK :: THIN], drawn)

    def completed(values, key):
        return judged(one, values, collapsed.draw_coefficients(one.factor(values), key))

    count = len(jax.tree.leaves(drawn)[0])
    sampled = jax.vmap(completed)(drawn, jax.random.split(keys[4], count))
    return jnp.sum(sampled < judged(one, values, coefficients), 0), jnp.asarray(count)


def levels(case, fault=None):
    """Ranks as levels in (0, 1), one row per simulation: uniform if the sampler draws from the posterior."""
    with jax.enable_x64(True):
        problem = problem_of(k=K, trend="none", **CASES[case])
        keys = jax.random.split(jax.random.key(7), SIMULATIONS)
        ranks, count = jax.jit(lambda keys: jax.lax.map(lambda key: simulate(problem, key, fault), keys))(keys)
        jitter = np.random.default_rng(0).uniform(size=ranks.shape)
        return (np.asarray(ranks) + jitter) / (1 + int(count[0]))


def worst_p_value(levels):
    """Smallest p-value of uniformity over what is ranked, Bonferroni."""
    return min(1.0, min(law_p_value(column, stats.uniform.cdf) for column in levels.T) * levels.shape[1])


def draw_ranks(found, path):
    """Empirical distribution of the levels minus the uniform one, a panel for each case, with its 99% band."""
    band = stats.kstwo.ppf(0.99, SIMULATIONS)
    with style.look():
        figure, panels = style.canvas(None, (9.0, 5.0), 2, 4)
        for panel, (case, levels) in zip(panels, found.items(), strict=False):
            panel.axhspan(-band, band, color=style.PALE, alpha=0.45, lw=0)
            for name, column, colour in zip(QUANTITIES, levels.T, style.CYCLE, strict=False):
                share = (np.arange(SIMULATIONS) + 0.5) / SIMULATIONS
                panel.plot(np.sort(column), share - np.sort(column), color=colour, lw=1.2, label=name)
            panel.set(title=f"{case} (p = {worst_p_value(levels):.2f})", xlim=(0, 1), ylim=(-0.2, 0.2))
        for panel in panels[len(found) :]:
            panel.set_visible(False)
        panels[0].set_ylabel("share below minus level")
        panels[4].set(xlabel="level of the truth", ylabel="share below minus level")
        style.legend(panels[0], own=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Simulation-based calibration")
    parser.add_argument("--out", type=Path, default=Path("docs/images/sbc.png"), help="picture")
    found = {case: levels(case) for case in CASES}
    for case, of_case in found.items():
        print(f"| {case} | {worst_p_value(of_case):.2f} |")
    draw_ranks(found, parser.parse_args().out)
