"""Simulation-based calibration (talts2018): data from the prior, draws by the package's own sampler, uniform ranks.

Every simulation draws parameters from the prior and data from them, samples with the whole of NUTS, teleports and
interweaving, starting where the data came from, and ranks the truth among thinned draws: f at three points, the noise,
and the log likelihood, which feels faults that the others do not. All simulations of a prior run in one compiled loop.
The same for approximations, started where the data came from (yao2018).
`PYTHONPATH=tests uv run python -m statistical.sbc` draws the pictures of docs/calibration.md.
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
from bayesplat.mothers import Box, Gaussian, Mixed
from bayesplat.plots import style
from bayesplat.posterior import nuts, svi
from bayesplat.posterior.prior import prior_sites
from bayesplat.priors import R2D2, Flat, RegularizedHorseshoe, Repulsive, Ridge, StickBreaking
from bayesplat.priors.sites import unconstrain

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
    "repulsive": Repulsive(Ridge()),
}
ERRORS = np.linspace(0.05, 1.0, 15)
"""Known errors of the data where they have any, in sds of y."""

CASES = {
    **{name: {"prior": prior} for name, prior in PRIORS.items()},
    "varying noise": {"prior": Ridge(), "likelihood": Normal("varying")},
    "student-t noise": {"prior": Ridge(), "likelihood": StudentT()},
    "known errors": {"prior": RegularizedHorseshoe(n_active=1), "error": ERRORS},
    "mixed mothers": {"prior": Ridge(), "mother": Mixed((Gaussian(), Box(8)))},
}

GUIDES, GUIDED = ("normal", "lowrank"), ("ridge", "horseshoe", "stick-breaking", "varying noise")
"""Approximations, and the cases on which they are judged."""


def judged(problem, values, coefficients):
    """What is ranked (5,): f at three points, the noise sd at one, and the log likelihood."""
    f = problem.features(problem.geometry(values)) @ coefficients
    log_likelihood = jnp.sum(problem.log_density(values, f))
    return jnp.concatenate([f[POINTS], problem.noise_sd(values)[:1], log_likelihood[None]])


def simulate(problem, key, sample, fault=None):
    """Ranks (5,) of the truth among the draws that `sample` makes of the posterior of its data, and their number."""
    keys = jax.random.split(key, 5)
    values = prior_sites(problem, keys[0])
    columns = problem.features(problem.geometry(values))
    scales = with_trend(problem.scales(values), columns.shape[1])
    coefficients = scales * jax.random.normal(keys[1], scales.shape)
    sd = problem.data_sd(values) * (1.5 if fault == "noise scale" else 1.0)
    y = columns @ coefficients + sd * jax.random.normal(keys[2], problem.y.shape)
    one = eqx.tree_at(lambda problem: problem.y, problem, y)

    def completed(values, key):
        return judged(one, values, collapsed.draw_coefficients(one.factor(values), key))

    drawn = sample(one, values, keys[3])
    count = len(jax.tree.leaves(drawn)[0])
    sampled = jax.vmap(completed)(drawn, jax.random.split(keys[4], count))
    return jnp.sum(sampled < judged(one, values, coefficients), 0), jnp.asarray(count)


def by_nuts(problem, start, key):
    """Thinned draws of one chain."""

    def chunk(state, _):
        state, (drawn, _) = nuts._advance(problem, SETTINGS, state)
        return state, drawn

    state = nuts._start(problem, SETTINGS, unconstrain(problem.sites(), start), key)
    drawn = jax.lax.scan(chunk, state, length=CHUNKS)[1]
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[SKIP * nuts.CHUNK :: THIN], drawn)


def by_svi(guide):
    """The sampler that draws from a fitted guide."""
    settings = svi.Settings(guide, steps=2000, draws=100)

    def sample(problem, start, key):
        first, second = jax.random.split(key)
        state = svi._start(problem, settings, start, first)
        chunks = settings.steps // svi.CHUNK
        state = jax.lax.scan(lambda state, _: svi._advance(problem, settings, start, state), state, length=chunks)[0]
        return svi._draw(problem, settings, start, state, second)[0]

    return sample


def levels(case, fault=None, sample=by_nuts):
    """Ranks as levels in (0, 1), one row per simulation: uniform if the sampler draws from the posterior."""
    with jax.enable_x64(True):
        problem = problem_of(k=K, trend="none", **CASES[case])
        keys = jax.random.split(jax.random.key(7), SIMULATIONS)
        run = jax.jit(lambda keys: jax.lax.map(lambda key: simulate(problem, key, sample, fault), keys))
        ranks, count = run(keys)
        jitter = np.random.default_rng(0).uniform(size=ranks.shape)
        return (np.asarray(ranks) + jitter) / (1 + int(count[0]))


def worst_p_value(levels):
    """Smallest p-value of uniformity over what is ranked, Bonferroni."""
    return min(1.0, min(law_p_value(column, stats.uniform.cdf) for column in levels.T) * levels.shape[1])


def bias_p_value(levels):
    """Smallest p-value that the truth lies as often and as far above as below, Bonferroni (yao2018)."""
    return min(1.0, min(stats.wilcoxon(column - 0.5).pvalue for column in levels.T) * levels.shape[1])


def draw_ranks(found, path):
    """Empirical distribution of the levels minus the uniform one, a panel for each of `found`, with its 99% band."""
    band, rows = stats.kstwo.ppf(0.99, SIMULATIONS), -(-len(found) // 4)
    with style.look():
        figure, panels = style.canvas(None, (9.0, 2.7 * rows), rows, 4)
        for panel, (name, levels) in zip(panels, found.items(), strict=False):
            panel.axhspan(-band, band, color=style.PALE, alpha=0.45, lw=0)
            for column, quantity, colour in zip(levels.T, QUANTITIES, style.CYCLE, strict=False):
                share = (np.arange(SIMULATIONS) + 0.5) / SIMULATIONS
                panel.plot(np.sort(column), share - np.sort(column), color=colour, lw=1.2, label=quantity)
            panel.set(title=f"{name}\np = {worst_p_value(levels):.2g}", xlim=(0, 1), ylim=(-0.3, 0.3))
        for panel in panels[len(found) :]:
            panel.set_visible(False)
        for row in range(rows):
            panels[4 * row].set_ylabel("share below minus level")
        panels[4 * (rows - 1)].set_xlabel("level of the truth")
        style.legend(panels[0], own=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)


def table(found):
    """Rows of p-values of uniformity and of bias, and the shares of truths inside their 90% intervals."""
    lines = ["| case | p, uniform | p, unbiased | f in 90% | noise sd in 90% | log likelihood in 90% |"]
    lines.append("|---|---|---|---|---|---|")
    for name, levels in found.items():
        inside = np.mean((levels > 0.05) & (levels < 0.95), 0)
        shares = f"{inside[:3].min():.2f} to {inside[:3].max():.2f} | {inside[3]:.2f} | {inside[4]:.2f}"
        lines.append(f"| {name} | {worst_p_value(levels):.2g} | {bias_p_value(levels):.2g} | {shares} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Simulation-based calibration")
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder of the pictures")
    out = parser.parse_args().out
    exact = {case: levels(case) for case in CASES}
    guided = {f"{case}, {guide}": levels(case, sample=by_svi(guide)) for guide in GUIDES for case in GUIDED}
    for name, found in (("sbc", exact), ("vsbc", guided)):
        print(table(found), end="\n\n")
        draw_ranks(found, out / f"{name}.png")
