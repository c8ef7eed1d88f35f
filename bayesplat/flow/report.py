"""What went wrong with a point fit, and what to do about it: the failures of splats that daniels2025splat names."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from bayesplat import symptoms
from bayesplat._lazy import pd
from bayesplat.devices import inference
from bayesplat.evaluate import heights
from bayesplat.measure import SplatMeasure
from bayesplat.scaling import constant

AGREE = 2.0
"""Nats between the two best starts above which they found different fits."""


@dataclass(frozen=True)
class FitReport:
    """Symptoms of a point fit, and one plain sentence for each that matters."""

    table: "pd.DataFrame"
    signs: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.signs

    def to_frame(self) -> "pd.DataFrame":
        """The table."""
        return self.table

    def __str__(self) -> str:
        signs = [f"! {sign}" for sign in self.signs] or ["Nothing wrong with the splats."]
        return "\n".join([f"Point fit\n{self.table.to_string(header=False)}", *signs])

    __repr__ = __str__


def report(
    measure: SplatMeasure,
    x: Float[np.ndarray, "n d"],
    sd: float,
    energies: list[float],
    certificate: float,
    unplaced: float,
    spent: bool,
    residual: Float[np.ndarray, " n"],
) -> FitReport:
    """Judge a fit at its data; sd is that of y, `spent` whether the budget ended the best start."""
    live = np.asarray(measure.live)
    k, used = live.size, int(live.sum())
    with inference():
        columns = heights(measure.A, measure.b, x, measure.mother)[:, live]
        terms = columns * np.asarray(measure.amplitude)[live, 0] / sd
        counts = {
            "cancelling": int(symptoms.cancelling_pairs(terms)),
            "spikes": int(symptoms.spikes(columns, terms)),
            "drifting": int(symptoms.drifting(columns)),
        }
    b = np.asarray(measure.b)[live]
    counts["outside"] = int(np.any(((b < x.min(0)) | (b > x.max(0))) & ~constant(x), axis=1).sum())
    apart = float(np.ptp(np.sort(energies)[:2]))
    rows = [
        ("live splats", f"{used} of {k}"),
        ("cancelling pairs", counts["cancelling"]),
        ("spikes on one datum", counts["spikes"]),
        ("splats that reach no datum", counts["drifting"]),
        ("centres outside the data", counts["outside"]),
        ("best two starts apart", f"{apart:.2f} nats" if len(energies) > 1 else "one start only"),
        ("one more splat would gain", f"{certificate:.2f} nats at most"),
    ]
    table = pd.DataFrame(rows, columns=["symptom", "value"]).set_index("symptom")
    return FitReport(table, _signs(measure, counts, apart, unplaced, spent, symptoms.likeness(residual, x)))


def _signs(
    measure: SplatMeasure, counts: dict[str, int], apart: float, unplaced: float, spent: bool, alike: float
) -> tuple[str, ...]:
    live, outside = np.asarray(measure.live), counts["outside"]
    heavy, crowded = not measure.mother.has_covariance(measure.b.shape[1]), measure.mother.crowded(live)
    who = f"{live.size} splats" if live.all() else "splats of one mother"
    sentences = {
        f"{_count(counts['cancelling'], 'pair of splats cancels', 'pairs of splats cancel')} in one place: f is right, "
        "its splats are not to be read one by one; wrap the prior in Repulsive(), or raise its "
        "`strength`.": counts["cancelling"] > 0,
        f"{_count(counts['spikes'], 'splat rests', 'splats rest')} on a single datum: an outlier, or structure finer "
        "than the data; look there, or use StudentT() noise if it is not.": counts["spikes"] > 0,
        f"{_count(counts['drifting'], 'splat reaches no datum and changes', 'splats reach no datum and change')} "
        "nothing; use fewer splats.": counts["drifting"] > 0,
        f"{_count(outside, 'centre lies', 'centres lie')} outside the data and the mother's tails have no variance: f "
        "near the edges is extrapolation; use Gaussian() or Wendland().": heavy and outside > 0,
        f"All {who} are at work and one more would gain {unplaced:.1f} nats; raise `n_splats`.": crowded
        and unplaced > 1.0,
        f"The two best starts ended {apart:.1f} nats apart: there are several explanations; use more `starts`, and "
        "the posterior.": apart > AGREE,
        f"Residuals of neighbouring data are alike (correlation {alike:.2f}): f misses structure, or the noise is "
        "correlated; use more splats or `starts`, and the posterior.": alike > 0,
        "The best start was still moving when its budget ended; call fit again with `start=` this fit.": spent,
    }
    return tuple(sentence for sentence, holds in sentences.items() if holds)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
