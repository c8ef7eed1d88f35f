"""The model in words: each function says one part of a specification, with its settings; [[key]] cites a reference."""

import numpy as np

from bayesplat import mothers, priors
from bayesplat.devices import inference
from bayesplat.diagnostics.convert import group
from bayesplat.likelihoods import Normal, StudentT
from bayesplat.model import data_box
from bayesplat.results import Posterior
from bayesplat.trend import PRIOR_SD
from bayesplat.wording import count, listed, number


def described(post: Posterior) -> dict[str, str]:
    """Every field of the specification in words; `n_splats` says what each splat has of its own."""
    spec, bumps = post.spec, len(group(post.data, "constant_data")["noise_centre"])
    return {
        "n_splats": shape_words(spec.covariance, post.n_inputs),
        "prior": prior_words(spec.prior, spec.n_splats),
        "likelihood": likelihood_words(spec.likelihood, bumps) + errors_words(post),
        "mother": mother_words(spec.mother),
        "trend": trend_words(spec.trend),
        "lengths": lengths_words(post),
        "centres": centres_words(post),
    }


def mother_words(mother: mothers.Mother) -> str:
    """The shape of a splat."""
    match mother:
        case mothers.Gaussian():
            return "Gaussian bumps"
        case mothers.Logistic():
            return "radial logistic bumps (squared hyperbolic secant)"
        case mothers.Laplace():
            return "radial exponential bumps with a cusp at the centre"
        case mothers.StudentT(df=df):
            return f"multivariate Student-t bumps with {df:g} degrees of freedom"
        case mothers.Wendland():
            return "Wendland's compactly supported bumps of smoothness C2"
        case mothers.Box(order=order):
            return f"smoothed indicators of ellipsoids of order {order}"
        case mothers.Mixed(mothers=several):
            return f"in turn {listed([mother_words(one) for one in several])}"
    return f"bumps of the shape {mother!r}"


def shape_words(covariance: str, d: int) -> str:
    """What each splat has of its own."""
    if d == 1:
        return "a centre, a width and a signed height"
    widths = {
        "spherical": "one width for all inputs",
        "diag": "a width along each input",
        "full": "a width along each input, correlations between inputs",
    }
    return f"a centre, {widths[covariance]} and a signed height"


def trend_words(trend: str) -> str:
    """The trend beneath the splats."""
    return {
        "none": "no trend",
        "constant": f"a constant with a normal prior of sd {PRIOR_SD:g}",
        "linear": f"a linear trend with normal priors of sd {PRIOR_SD:g} on its coefficients",
    }[trend]


def scaled_words(trend: str) -> str:
    """What the output was scaled to."""
    return "root mean square 1" if trend == "none" else "mean 0 and sd 1"


def prior_words(prior: priors.AmplitudePrior, k: int) -> str:
    """The prior on the splats' heights, with its dial."""
    match prior:
        case priors.Ridge(scale=scale):
            return f"a common normal prior whose scale gives f a prior sd of {scale:g} times a half-normal variable"
        case priors.RegularizedHorseshoe(slab_scale=slab, slab_df=df):
            return (
                f"a regularised horseshoe prior [[piironen2017]] that expects {prior.active(k):g} of {k} splats to "
                f"matter, with a slab of scale {slab:g} and {df:g} degrees of freedom"
            )
        case priors.R2D2(r2=r2, precision=precision, share=share):
            return (
                f"an R2-D2 prior [[zhang2022]] with a Beta distribution of mean {r2:g} and precision {precision:g} on "
                f"the share of variance explained by f, split between splats by a Dirichlet({share:g}) distribution"
            )
        case priors.StickBreaking(concentration=concentration, scale=scale):
            return (
                f"a stick-breaking prior [[ishwaran2001]] of concentration {concentration:g} and scale {scale:g}, so "
                "that importance falls with the index of a splat"
            )
        case priors.Flat():
            return "a practically flat prior (normal with sd 100), which does not guard against overfitting"
        case priors.Repulsive(base=base, strength=strength):
            return (
                f"{prior_words(base, k)}, times a repulsion [[petralia2012]] of strength {strength:g} that keeps "
                "splats of the same place and shape apart"
            )
    return f"the prior {prior!r}"


def lengths_words(post: Posterior) -> str:
    """The prior on widths."""
    spec = post.spec
    lengths = spec.prior.lengths(spec.lengths)
    if isinstance(lengths, priors.FreeLengths):
        return (
            "widths whose excess over the shortest allowed is log-uniform, from "
            f"{spec.likelihood.narrowest:g} spacings of the data to their range"
        )
    x = post.table.x
    with inference():
        box = data_box(np.asarray(post.scaling.to_box(x)), spec.likelihood.narrowest)
        median = float(lengths.median(box) + box.floor)
    default = (
        ""
        if lengths.typical is not None
        else " (by default the geometric mean of range and data spacing, and the shortest on top)"
    )
    each = "" if post.n_inputs == 1 else " for all inputs" if spec.covariance == "spherical" else " per input"
    correlations = ""
    if spec.covariance == "full" and post.n_inputs > 1:
        correlations = f"; correlations had an LKJ({lengths.lkj:g}) prior [[lewandowski2009]]"
    return (
        f"widths whose logs, less the shortest allowed, scatter about one location{each}, with a prior median width "
        f"of {number(100 * median, 2)}% of the input's range{default} and a log sd of {lengths.uncertainty:g}, by "
        f"Student-t deviations with {lengths.tails:g} degrees of freedom and a scale of prior median "
        f"{lengths.spread:g}{correlations}"
    )


def centres_words(post: Posterior) -> str:
    """The prior on centres."""
    return f"centres uniform over the range of the data widened by {100 * post.spec.centres.margin:g}% on every side"


def likelihood_words(likelihood: Normal, bumps: int) -> str:
    """The noise; where it varies, as a sum of so many bumps."""
    kind = "Gaussian noise"
    if isinstance(likelihood, StudentT):
        kind = f"Student-t noise with {likelihood.df:g} degrees of freedom"
    scale = f"a half-normal prior of scale {likelihood.scale:g} on its scale"
    if likelihood.noise == "varying":
        return (
            f"{kind} whose log scale varies with the inputs as a sum of {count(bumps, 'wide fixed bump')} with "
            f"standard normal weights, and {scale.replace('its scale', 'its geometric mean')}"
        )
    return f"{kind} of constant scale, with {scale}"


def errors_words(post: Posterior) -> str:
    """What is said of known errors of the data, where there are any."""
    errors = post.table.y_err
    if errors is None:
        return ""
    return f", beside the known errors of the data (sds of {number(errors.min())} to {number(errors.max())})"
