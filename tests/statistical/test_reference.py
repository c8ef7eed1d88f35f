"""Every sampler against long chains on two small cases; how far the approximations are off is printed (`pytest -s`)."""

import json

import numpy as np
import pytest
from statistical.reference import CASES, FILE, errors, means, quantities

pytestmark = pytest.mark.slow

REFERENCE = json.loads(FILE.read_text())
EXACT = {
    "nuts": {"method": "nuts", "warmup": 500, "draws": 2000},
    "smc": {"method": "smc", "chains": 16, "draws": 300},
}
LIMIT = 4.0
"""Standard errors of a difference; 18 quantities, two cases and two methods make 72."""


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """Model and data, the reference's means and errors."""
    kept = REFERENCE[request.param]
    return CASES[request.param](), np.array(kept["mean"]), np.array(kept["error"])


@pytest.mark.parametrize("method", EXACT)
def test_samplers_agree_with_long_chains(case, method):
    (model, x, y), mean, error = case
    found = quantities(model.sample(x, y, seed=2, **EXACT[method]))
    if method == "smc":
        # populations are independent; draws within one are not
        runs = found.mean("draw")
        own = np.concatenate([np.ravel(runs[name].std("chain", ddof=1).values / 16**0.5) for name in runs.data_vars])
    else:
        own = errors(found)
    z = (means(found) - mean) / np.hypot(error, own)
    print(f"{method}: largest difference {np.abs(z).max():.2f} standard errors, rms {np.sqrt(np.mean(z**2)):.2f}")
    assert np.abs(z).max() < LIMIT
    # the fault: noise taken for two per cent larger than it is
    z_sigma = (means(found)[16] + np.log(1.02) - mean[16]) / np.hypot(error, own)[16]
    assert z_sigma > LIMIT


@pytest.mark.parametrize(
    "how", [{"method": "svi", "guide": "normal"}, {"method": "svi", "guide": "lowrank"}, {"method": "laplace"}]
)
def test_the_error_of_approximations_is_measured(case, how):
    (model, x, y), mean, _ = case
    post = model.sample(x, y, seed=2, **how)
    found = means(quantities(post))
    sd = np.sqrt(mean[8:16] - mean[:8] ** 2)
    off = (found[:8] - mean[:8]) / sd
    ratio = np.sqrt(found[8:16] - found[:8] ** 2) / sd
    print(
        f"{how}: mean of f off by {np.sqrt(np.mean(off**2)):.2f} posterior sds (rms), sds {ratio.min():.2f} to "
        f"{ratio.max():.2f} of theirs, k-hat {post.convergence().khat:.2f}"
    )
    assert np.abs(off).max() < 3.0
