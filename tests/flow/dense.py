"""The flow's model by NumPy and SciPy alone: what its energies promise, written out at one position."""

import numpy as np
from scipy import stats

from bayesplat.flow.position import Particles
from bayesplat.trend import PRIOR_SD

STEP = 1e-5  # of finite differences along a splat's frame


def scale(lengths, shear):
    """A = diag(l) L(w) in one or two dimensions, from a single length, from two, or from two and a shear."""
    d = lengths.size
    lower = np.eye(d)
    if shear.size:
        lower[1] = np.tanh(shear[0]), 1 / np.cosh(shear[0])
    return lengths[:, None] * lower


def height(A, b, x):
    """Gaussian height of one splat."""
    return np.exp(-0.5 * np.sum(np.linalg.solve(A, (x - b).T) ** 2, 0))


class Splats:
    """Scales and centres of particles, with their columns at the observed data."""

    def __init__(self, problem, at):
        rows = np.asarray(problem.observed) > 0
        self.problem, self.at, self.x = problem, Particles(*map(np.asarray, at[:3])), np.asarray(problem.x)[rows]
        floor = problem.spec.likelihood.narrowest * float(min(problem.spacing, problem.grid))
        self.A = np.array(
            [scale(np.exp(e) + floor, w) for e, w in zip(self.at.excess, self.at.shear, strict=True)],
        )
        self.b = self.at.centre

    @property
    def columns(self):
        return np.column_stack([height(A, b, self.x) for A, b in zip(self.A, self.b, strict=True)])

    @property
    def along(self):
        """Derivatives (r, n, k) of the columns along A L_s and A e_s, by central differences."""
        d = self.x.shape[1]
        below = [(r, c) for r in range(d) for c in range(r)] if self.at.shear.shape[1] else []
        frame = [(np.outer(np.eye(d)[r], np.eye(d)[c]), np.zeros(d)) for r, c in [(i, i) for i in range(d)] + below]
        frame += [(np.zeros((d, d)), np.eye(d)[s]) for s in range(d)]

        def moved(L, e, step):
            pairs = zip(self.A, self.b, strict=True)
            return np.column_stack([height(A + step * A @ L, b + step * A @ e, self.x) for A, b in pairs])

        return np.stack([(moved(L, e, STEP) - moved(L, e, -STEP)) / (2 * STEP) for L, e in frame])

    @property
    def prior_precision(self):
        """Inverse squares (r, k) of the prior sds along the frame: 0.6 in log lengths, uniform centres on 1.2."""
        r, d = len(self.along), self.x.shape[1]
        size = np.sum(self.A**2, 1).T
        return np.concatenate([np.full((r - d, len(self.b)), 0.6**-2), 12 / 1.2**2 * size])

    def log_prior(self, location):
        """Lengths and shears of each splat, less the value at the mode; centres inside the box; seen by the data."""
        lengths = stats.t(4.0).logpdf((self.at.excess - location) / 0.6) - stats.t(4.0).logpdf(0.0)
        outside = np.maximum(np.abs(self.b - 0.5) - 0.6, 0.0)
        shears = -2 * np.log(np.cosh(self.at.shear))  # LKJ(1) in two dimensions: density sech^2 of the shear
        unseen = np.maximum(np.log(1.5 / (np.sum(self.columns**2, 0) + 1e-6)), 0.0)
        return lengths.sum(1) + shears.sum(1) - 2000 * np.sum(outside**2, 1) - 25 * unseen**2


class Dense:
    """The collapsed model at one position, by dense algebra over the observed data."""

    def __init__(self, energy, position, live, scale=None, sd=None):
        problem, k = energy.problem, live.size
        rows = np.asarray(problem.observed) > 0
        self.position, self.live, self.k = position, np.asarray(live), k
        self.y, self.splats = np.asarray(problem.y)[rows], Splats(problem, position)
        self.sigma = float(np.exp(position.noise["sigma"]))
        self.scale = float(np.exp(position.log_tau)) if scale is None else scale
        self.sd = np.sqrt(self.sigma**2 + 1e-10) if sd is None else sd
        kind, x = problem.spec.trend, self.splats.x
        self.trend = {"none": x[:, :0], "constant": x[:, :1] ** 0, "linear": np.column_stack([x[:, :1] ** 0, x - 0.5])}[
            kind
        ]

    def system(self, live=None, extra=None):
        """Columns of the live splats, of the trend and of one more splat, and the prior sds of their coefficients."""
        live = self.live if live is None else live
        extra = self.y[:, None][:, :0] if extra is None else extra
        columns = np.column_stack([self.splats.columns[:, live], extra, self.trend])
        splats, trend = columns.shape[1] - self.trend.shape[1], self.trend.shape[1]
        return columns, np.append(np.full(splats, self.scale), np.full(trend, PRIOR_SD))

    def without(self, i):
        return self.live & (np.arange(self.k) != i)

    def log_evidence(self, live=None, extra=None):
        """log N(y; 0, C)."""
        columns, scales = self.system(live, extra)
        scaled = columns * scales
        covariance = scaled @ scaled.T + self.sd**2 * np.eye(self.y.size)
        return stats.multivariate_normal(np.zeros(self.y.size), covariance).logpdf(self.y)

    def coefficients(self, live=None, extra=None):
        """Mean and covariance of the coefficients given y."""
        columns, scales = self.system(live, extra)
        precision = columns.T @ columns / self.sd**2 + np.diag(scales**-2.0)
        covariance = np.linalg.inv(precision)
        return covariance @ columns.T @ self.y / self.sd**2, covariance

    def data_term(self, live=None, extra=None, given=0.0):
        """min over coefficients a of |y - given - Phi a|^2 / (2 sd^2) + sum (a / scale)^2 / 2, by least squares."""
        columns, scales = self.system(live, extra)
        tall = np.concatenate([columns / self.sd, np.diag(1 / scales)])
        target = np.concatenate([(self.y - given) / self.sd, np.zeros(scales.size)])
        best, *_ = np.linalg.lstsq(tall, target)
        return 0.5 * np.sum((tall @ best - target) ** 2)

    def moments(self):
        """E[a a^T | y] (k, k) of the splats; zeros for dead ones."""
        mean, covariance = self.coefficients()
        count = self.live.sum()
        moments = np.zeros((self.k, self.k))
        moments[np.ix_(self.live, self.live)] = (np.outer(mean, mean) + covariance)[:count, :count]
        return moments

    def curvature(self):
        """E[a a^T | y] * (T^T C^-1 T) + prior precision (r k, r k), T the derivatives of the columns."""
        columns, scales = self.system()
        covariance = (columns * scales) @ (columns * scales).T + self.sd**2 * np.eye(self.y.size)
        T = self.splats.along
        gram = np.einsum("ani,nm,bmj->aibj", T, np.linalg.inv(covariance), T)
        size = T.shape[0] * self.k
        data = (gram * self.moments()[None, :, None, :]).reshape(size, size)
        return data + np.diag(self.splats.prior_precision.reshape(-1))

    def information(self, splats, moment):
        """Nats that the data tell about the place and shape of each splat."""
        fisher = np.sum((splats.along / self.sd) ** 2, 1) * moment
        return 0.5 * np.log1p(fisher / splats.prior_precision).sum(0)

    def cost(self, splats, moment):
        """Occam factor less log prior of each splat."""
        return self.information(splats, moment) - splats.log_prior(np.asarray(self.position.location))

    def log_shared(self, median, typical):
        """Log prior of what the splats share: the lengths' location, the log amplitude scale, the log noise."""
        at = self.position
        return (
            stats.norm(np.log(median), 0.7).logpdf(np.asarray(at.location)).sum()
            + stats.norm(np.log(typical), 1.0).logpdf(float(at.log_tau))
            + stats.halfnorm.logpdf(self.sigma)
            + np.log(self.sigma)
        )
