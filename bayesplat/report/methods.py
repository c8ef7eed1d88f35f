"""A paragraph for a methods section, written from the settings and the reports, with its references."""

import math

from bayesplat.diagnostics.convergence import APPROXIMATE
from bayesplat.diagnostics.sensitivity import LIMIT
from bayesplat.report.description import described, scaled_words
from bayesplat.report.findings import Findings
from bayesplat.report.markup import Html, paragraph, tag
from bayesplat.report.references import bibtex, cited, reference_list, with_citations
from bayesplat.report.trust import BLOCKS
from bayesplat.wording import beside, count, listed

FLOW = "runs of a Wasserstein-Fisher-Rao gradient flow [[daniels2025splat]]"


def methods(found: Findings) -> list[Html]:
    """The paragraph, the references and their BibTeX."""
    parts = [model_sentences(found), sampler_sentence(found), check_sentences(found), software_sentence(found)]
    keys = cited(" ".join(parts))
    return [
        paragraph("Text to start from; check it against what you did, and say why you chose this prior."),
        tag("blockquote", *(paragraph(with_citations(part)) for part in parts)),
        tag("h3", "References"),
        reference_list(keys),
        tag("h3", "The same as BibTeX"),
        tag("pre", bibtex(keys), tabindex=0, aria_label="References as BibTeX"),
    ]


def model_sentences(found: Findings) -> str:
    """Data, function, priors and noise."""
    post, words = found.post, described(found.post)
    *inputs, output = post.names
    base = "" if post.spec.trend == "none" else f"{words['trend']}, plus "
    return (
        f"We modelled {output} as a function of {listed(inputs)} ({found.n} data) by Bayesian splat regression "
        f"[[daniels2025splat]]: {base}the sum of {count(post.spec.n_splats, 'splat')}, {words['mother']} that "
        f"each have {words['n_splats']}, observed with {words['likelihood']}. "
        f"Inputs were scaled to the unit box and the output to {scaled_words(post.spec.trend)}; priors are in these "
        f"units. Heights had {words['prior']}. Priors on geometry were {words['centres']}, and {words['lengths']}."
    )


def _gibbs(found: Findings) -> str:
    """The moves beside those along gradients."""
    spec = found.post.spec
    shared = any(hierarchy.shared_sites for hierarchy in (spec.prior, spec.prior.lengths(spec.lengths)))
    moves = ["redraw single splats among weighted candidates [[tjelmeland2004]]"]
    moves += ["slide the edges of splats along the data"] if spec.mother.edged else []
    moves += ["interweave the shared scales [[yu2011]]"] if shared else []
    return f"Gibbs moves that {listed(moves)}"


def sampler_sentence(found: Findings) -> str:
    """How the posterior was computed."""
    info, chains, draws = found.post.info, found.chains, found.draws
    seed = f"seed {info['seed']}"
    shared = "Heights and trend were integrated out analytically"
    if info["method"] == "nuts":
        return (
            f"{shared}, and the other parameters sampled by the No-U-Turn sampler [[hoffman2014]] with "
            f"{_gibbs(found)}: {count(chains, 'chain')} started from {FLOW}, "
            f"{_setting(found, 'warmup', 'with {} warm-up steps and ')}{draws} kept draws each "
            f"({_setting(found, 'target_accept', 'target acceptance {}, ')}"
            f"{_setting(found, 'max_tree_depth', 'tree depth at most {}, ')}{seed}).{_stacking(found)}"
        )
    if info["method"] == "smc":
        evidence = found.post.log_evidence
        return (
            f"{shared}, and the other parameters sampled by sequential Monte Carlo from the prior to the posterior "
            f"[[delmoral2006]], moved by Hamiltonian Monte Carlo and by {_gibbs(found)}: "
            f"{count(chains, 'independent population')} of {draws} draws, weighted by their share in the evidence ("
            f"{_setting(found, 'ess', 'effective share {} at each step, ')}"
            f"{_setting(found, 'sweeps', '{} sweeps of moves, ')}{seed}). The log evidence was estimated as "
            f"{evidence.log:.2f} ({evidence.doubt})."
        )
    if info["method"] == "laplace":
        return (
            f"{shared}, and the posterior of the other parameters approximated by Gaussians at the modes "
            f"[[tierney1986]] nearest to the ends of {chains} {FLOW}, with {draws} draws each ({seed})."
            f"{_stacking(found)}"
        )
    guide = {"lowrank": "a low-rank Gaussian", "normal": "a Gaussian without correlations"}
    family = guide.get(str(info.get("guide")), "a Gaussian")
    return (
        f"{shared}, and the posterior of the other parameters approximated by {family} in unconstrained coordinates, "
        f"fitted by stochastic variational inference [[kucukelbir2017]] from the best of several {FLOW} "
        f"({count(draws * chains, 'draw')}, {seed})."
    )


def _setting(found: Findings, name: str, words: str) -> str:
    value = found.post.info.get(name)
    return "" if value is None else words.format(value)


def _stacking(found: Findings) -> str:
    if "stacking" not in found.post.data.children:
        return ""
    weights = ", ".join(f"{w:.2f}" for w in found.post.chain_weights)
    return f" Chains disagreed and were weighted by stacking [[yao2022]], with weights {weights}."


def check_sentences(found: Findings) -> str:
    """Values of the diagnostics."""
    loo = found.overfitting.loo
    refits = f" once {count(loo.refitted, 'other')} had been left out in exact refits" if loo.refitted else ""
    values = dict(zip(found.overfitting.table.index, found.overfitting.table["value"].tolist(), strict=True))
    return (
        f"{_convergence(found)} Predictions were judged by leave-one-out cross-validation with Pareto-smoothed "
        f"importance sampling [[vehtari2017, vehtari2024]]: elpd {loo.elpd:.1f} (standard error {loo.se:.1f}), "
        f"{values['effective parameters p_loo']:.1f} effective parameters, {loo.n_bad} of {found.n} data with "
        f"Pareto k above {loo.good_k:.2f} or unknown{refits}, and uniformity of the leave-one-out probability integral "
        f"transform with p = {values['LOO-PIT uniformity p']:.2g}. {_sensitivity(found)} "
        "Intervals are equal-tailed with probability 90%."
    )


def _convergence(found: Findings) -> str:
    report = found.convergence
    if report.method in APPROXIMATE:
        khat = "infinite" if math.isinf(report.khat) else f"{report.khat:.2f}"
        return f"The Pareto k-hat of the approximation [[vehtari2024]] was {khat}."
    # NaN, as of a single chain, must not hide behind the others
    largest = beside(float(report.table["r_hat"].to_numpy().max()), 0.01)
    smallest = beside(float(report.table[["ess_bulk", "ess_tail"]].to_numpy().min()), 10)
    divergent = f", with {count(report.divergences, 'divergent transition')}" if report.method == "nuts" else ""
    failed = "" if report.ok else " Not all checks of convergence were passed."
    return (
        "Convergence was judged on f at the data, the noise scale and the log density: the largest rank-normalised "
        f"R-hat [[vehtari2021]] was {largest} and the smallest of bulk and tail effective sample sizes "
        f"{smallest}{divergent}.{failed}"
    )


def _sensitivity(found: Findings) -> str:
    table = found.overfitting.sensitivity
    values = dict(zip(map(str, table.index), table["f"].tolist(), strict=True))
    if all(map(math.isnan, values.values())):
        return "Prior sensitivity was not judged, for want of draws."
    moved = [f"{BLOCKS[block]}, {v:.2f}" for block, v in values.items() if block != "likelihood" and v > LIMIT]
    words = f"that of f was above {LIMIT} for the {'; the '.join(moved)}" if moved else f"that of f was below {LIMIT}"
    return f"Sensitivity to each part of the prior was judged by power scaling [[kallioinen2024]]: {words}."


def software_sentence(found: Findings) -> str:
    """Packages, precision and device."""
    info = found.post.info
    versions = info.get("versions", {})
    papers = {"numpyro": " [[phan2019]]", "arviz": " [[kumar2019]]"}
    names = {"jax": "JAX", "numpyro": "NumPyro", "arviz": "ArviZ"}
    used = [f"{names[name]} {versions.get(name, '')}".strip() + papers.get(name, "") for name in names]
    own = f"bayesplat {versions.get('bayesplat', '')}".strip()
    where = f", in {info['dtype']} on {info['device']}" if {"dtype", "device"} <= set(info) else ""
    return f"Computations used {own} with {listed(used)}{where}."
