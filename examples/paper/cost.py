"""What one energy and its gradient cost, beside the least that the machine could do it in.

Run `uv run python examples/paper/cost.py`; `--quick` for a small version. The floor counts n k exponentials, and the
products that no exact method avoids: the Gram matrix of the n x r features and their product with its inverse (2 n r^2
flops each), and the factor and the inverse (7/3 r^3), r = k + 1. Both rates are measured in the same process.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import figure
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import table

from bayesplat import SplatModel, datasets
from bayesplat.devices import inference
from bayesplat.flow.evidence import neg_log_evidence
from bayesplat.model import bind
from bayesplat.scaling import fit_scaling
from bayesplat.threads import cores, run_all

BLOCK, TIMES = 2**14, 500
"""Numbers of a block (128 KiB, which stays in the cache of a core), and exponentials of each in one call."""

HEADS = {
    "n": "n",
    "k": "k",
    "seconds": "s",
    "floor": "floor, s",
    "floor_exps": "of it exps",
    "share": "floor / s",
    "working_gb": "working memory, GB",
    "peak_gb": "peak, GB",
    "matrix_gb": "one n x k matrix, GB",
}
CAPTION = """One energy and its gradient (log evidence with the cost of every splat; full scales, d = 2, all k
splats live, float64). Floor: n k exponentials and 4 n r^2 + 7/3 r^3 flops at this machine's rates, measured beside each
row (medians {exps:.2g} exponentials and {flops:.2g} flops a second, all cores). Working memory: what the compiled call
asks for; peak: how far the process grew, compiler included. Measured on {machine}. {growth}"""


def best(call: Callable[[], object], least: float = 0.5) -> float:
    """Seconds of the fastest of several calls, after one that is not counted."""
    call()
    seconds, began = [], time.perf_counter()
    while len(seconds) < 3 or time.perf_counter() - began < least:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def exps_a_second() -> float:
    """Exponentials a second with every core at work on a block of its own."""
    count = cores()
    repeated = jax.jit(lambda x: jax.lax.fori_loop(0, TIMES, lambda _, x: jnp.exp(-x), x))

    def one(i: int, stop: object) -> None:
        block = jnp.linspace(0.0, 1.0, BLOCK)
        took[i] = best(lambda: jax.block_until_ready(repeated(block)))

    took = [np.inf] * count
    run_all(one, count, lambda: None)
    return sum(BLOCK * TIMES / seconds for seconds in took)


def flops_a_second(size: int = 1500) -> float:
    """Floating-point operations a second in a large product of matrices."""
    a = jnp.ones((size, size))
    product = jax.jit(lambda a: a @ a)
    return 2 * size**3 / best(lambda: jax.block_until_ready(product(a)))


def resident() -> float:
    """Largest memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # Linux counts in KB


def measure(n: int, k: int, memory: float) -> dict[str, float]:
    """Time and memory of one call, and the floor; NaN where the call would not fit in `memory` GB."""
    data, spec = datasets.simulate("surface", n=n), SplatModel(k)
    scaling = fit_scaling(data.x, data.y)
    x, y = np.asarray(scaling.to_box(data.x)), np.asarray(scaling.to_standard(data.y))
    with inference():
        energy = neg_log_evidence(bind(spec, x, y, spec.likelihood.field(x)))
        # splats all over the square: in one place, their matrix would be singular
        position = energy.start(k)._replace(centre=jnp.asarray(np.random.default_rng(0).uniform(size=(k, 2))))
        live, before = jnp.ones(k, bool), resident()
        # the data are arguments, as in the flow: as constants, the compiler would try to compute with them
        call = jax.jit(jax.value_and_grad(lambda position, energy: energy.value(position, live)))
        compiled = call.lower(position, energy).compile()
        working = compiled.memory_analysis().temp_size_in_bytes / 1e9
        if working > memory:
            seconds = peak = np.nan
        else:
            seconds = best(lambda: jax.block_until_ready(compiled(position, energy)))
            peak = resident() - before
        exps, flops = exps_a_second(), flops_a_second()
    r = k + 1
    floor_exps, floor_products = n * k / exps, (4 * n * r**2 + 7 / 3 * r**3) / flops
    floor = floor_exps + floor_products
    return {
        "n": n,
        "k": k,
        "seconds": seconds,
        "floor": floor,
        "floor_exps": floor_exps,
        "floor_products": floor_products,
        "share": floor / seconds,
        "working_gb": working,
        "peak_gb": peak,
        "matrix_gb": 8e-9 * n * k,
        "exps_a_second": exps,
        "flops_a_second": flops,
    }


def growth(rows: pd.DataFrame) -> str:
    """Slopes of seconds on log-log axes, in words."""
    known, slopes = rows.dropna(subset="seconds"), []
    for fixed, moving in (("k", "n"), ("n", "k")):
        for at, group in known.groupby(fixed):
            if len(group) > 1:
                slope = np.polyfit(np.log(group[moving].astype(float)), np.log(group.seconds.astype(float)), 1)[0]
                slopes.append(f"{moving}^{slope:.2f} at {fixed} = {at}")
    return f"Seconds grow as {', '.join(slopes)}." if slopes else ""


def draw(rows: pd.DataFrame, out: Path) -> None:
    """Seconds and memory over n, one line for each k, with their floors."""
    with figure.sheet(out / "cost.png", 9.0, 4.2, columns=2) as (left, right):
        for colour, (k, group) in zip(figure.style.CYCLE, rows.groupby("k"), strict=False):
            left.plot(group.n, group.seconds, "o-", color=colour, label=f"k = {k}")
            left.plot(group.n, group.floor, ":", color=colour)
            right.plot(group.n, group.working_gb, "o-", color=colour)
            right.plot(group.n, group.matrix_gb, ":", color=colour)
        left.plot([], [], ":", color=figure.style.GREY, label="floors: exponentials and products; one n x k matrix")
        left.set(xscale="log", yscale="log", xlabel="n", ylabel="seconds")
        right.set(xscale="log", yscale="log", xlabel="n", ylabel="working memory, GB")


def main(argv: list[str] | None = None) -> None:
    """Measure every size in a process of its own, write."""
    parser = argparse.ArgumentParser(description="Cost of one energy and its gradient")
    parser.add_argument("--n", type=int, nargs="+", default=[1000, 10_000, 100_000], help="numbers of data")
    parser.add_argument("--k", type=int, nargs="+", default=[50, 500], help="numbers of splats")
    parser.add_argument("--memory", type=float, default=16.0, help="GB beyond which a size is left out")
    parser.add_argument("--one", type=int, nargs=2, metavar=("N", "K"), help=argparse.SUPPRESS)
    options = table.options(parser, argv, n=[64], k=[8])
    if options.one:
        print(json.dumps(measure(*options.one, options.memory)))
        return
    rows = table.Table(options.out / "cost.csv")
    for k in options.k:
        for n in options.n:
            child = [sys.executable, __file__, "--one", str(n), str(k), "--memory", str(options.memory)]
            answer = subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True).stdout
            rows.add(**json.loads(answer.splitlines()[-1]))
    draw(rows.frame, options.out)
    exps, flops = rows.frame.exps_a_second.median(), rows.frame.flops_a_second.median()
    caption = CAPTION.format(exps=exps, flops=flops, growth=growth(rows.frame), machine=table.machine())
    section = table.markdown("Cost of one energy and its gradient", caption, rows.frame, HEADS)
    table.page(options.out / "cost.md", [section])


if __name__ == "__main__":
    main()
