"""The pictures of the page, as PNG inside the page; one that cannot be drawn is left out, and the page says why."""

import base64
import struct
from io import BytesIO
from typing import NamedTuple

import numpy as np

from bayesplat.report.findings import Findings
from bayesplat.report.markup import Html, paragraph, tag
from bayesplat.scaling import constant
from bayesplat.wording import interval, listed

DPI = 140


class Words(NamedTuple):
    """What is said of a picture."""

    title: str
    alt: str
    caption: str


def picture(found: Findings, kind: str) -> Html:
    """A figure with its caption: `kind` is the name of a function of `bayesplat.plots`."""
    words = WORDS[kind](found)
    try:
        png = _png(found, kind)
    except Exception as error:  # whatever fails in one picture, the rest of the page is worth having
        return paragraph(f"{words.title} is left out: it could not be drawn ({type(error).__name__}: {error}).")
    width, height = struct.unpack(">II", png[16:24])
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    image = tag("img", src=source, alt=words.alt, width=width, height=height)
    caption = tag("figcaption", tag("strong", f"{words.title}. "), words.caption)
    return tag("figure", "\n", image, "\n", caption, "\n", id=f"figure-{kind.replace('_', '-')}")


def _png(found: Findings, kind: str) -> bytes:
    # matplotlib is only paid for by those who draw
    from bayesplat import plots

    buffer = BytesIO()
    getattr(plots, kind)(found.post).savefig(buffer, format="png", dpi=DPI, bbox_inches="tight")
    return buffer.getvalue()


def _bands(found: Findings) -> Words:
    *inputs, output = found.post.names
    table = found.post.table
    seen = f"{found.n} data with {output} from {interval(float(table.y.min()), float(table.y.max()), 3)}"
    if len(inputs) == 1:
        bars, aside = "", ""
        if table.y_err is not None:
            bars, aside = ", with bars of one sd of their known errors", ", known errors aside"
        return Words(
            "Figure 1",
            f"{seen}, against {inputs[0]}, with the posterior mean of f, its bands, and the interval of new "
            f"data{aside}.",
            f"{output} against {inputs[0]}. Dots are the data{bars}; the line is the posterior mean of f. The shaded "
            "bands hold f at each point with probability 50% and 90%; the dashed lines hold 90% of new observations, "
            f"noise included{aside}.",
        )
    varying = np.flatnonzero(~constant(table.x))
    if len(inputs) == len(varying) == 2:
        return Words(
            "Figure 1",
            f"Two maps over {inputs[0]} and {inputs[1]}, with the places of {seen}: posterior mean, and band width.",
            f"Posterior mean of f for {output} (left) and the width of its 90% band (right) over both inputs. Dots are "
            "the places of the data: where there are none, the band should be wide.",
        )
    # matplotlib is only paid for by those who draw
    from bayesplat.plots.bands import averaged

    names = [inputs[j] for j in averaged(varying)]
    drawn, few = listed(names), len(names) < len(inputs)
    each = f"{len(names)} of {len(inputs)} inputs ({drawn})" if few else "each input"
    return Words(
        "Figure 1",
        f"f along {drawn}, averaged over the other inputs, with bands; {seen}.",
        f"Partial dependence: f for {output} along {each}, averaged over the data's other inputs, with its 50% and "
        "90% bands. Ticks at the bottom are the data's inputs. Averages show no interactions: at single points f may "
        "look different.",
    )


def _splats(found: Findings) -> Words:
    drawn = {1: "curves on top of the trend", 2: "ellipses of one sd"}.get(found.post.n_inputs, "bars of their heights")
    return Words(
        "Figure 2",
        f"Splats of one posterior draw as {drawn}.",
        f"The splats of one draw, the one of highest log density, as {drawn}. Other draws explain the data by other "
        "splats: the uncertainty of f is in Figure 1, that of each splat in Table 1.",
    )


def _checks(found: Findings) -> Words:
    loo = found.overfitting.loo
    exact = f", and {loo.refitted} at 0 were scored by exact refits" if loo.refitted else ""
    return Words(
        "Figure 3",
        "Four panels: prior predictive draws, posterior predictive draws and the data; calibration by LOO-PIT; Pareto "
        f"k-hat of every datum, of which {loo.n_bad} are above the limit {loo.good_k:.2f} or unknown{exact}.",
        "Top: data sets that the model makes up, before the data (left) and after (right), beside the real one. Bottom "
        "left: calibration; a line that leaves the grey band means bands that are too narrow, too wide or shifted. "
        "Bottom right: data whose leave-one-out score cannot be trusted lie above the dashed line.",
    )


def _prior_posterior(found: Findings) -> Words:
    return Words(
        "Figure 4",
        "Prior and posterior of f at the data, of the noise scale and of the number of active splats.",
        "What the data taught: the 90% band of f at the data, the noise scale and the number of active splats, from "
        "the prior (grey) and from the posterior (blue). Where both agree, the data said nothing; a posterior at the "
        "edge of its prior fights it.",
    )


WORDS = {"bands": _bands, "splats": _splats, "checks": _checks, "prior_posterior": _prior_posterior}
"""What is said of every picture, in the order of the page."""
