"""Real processes, killed: what they resume to is what a process never killed would have drawn, to the last bit."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from endurance.process import CHAINS, DRAWS, WARMUP, digest

import bayesplat as bs
from bayesplat.posterior.nuts import CHUNK

PROCESS = Path(__file__).with_name("process.py")
CHUNKS = CHAINS * (WARMUP + DRAWS) // CHUNK
PATIENCE = 240  # seconds


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Processes share what they compile, or each would take half a minute."""
    cache = tmp_path_factory.mktemp("compiled")
    always = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
    return {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache), **always}


def started(folder, environment):
    root = Path(__file__).parents[2]
    environment = {**environment, "PYTHONPATH": str(root)}
    command = [sys.executable, str(PROCESS), str(folder)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(folder, environment):
    """The digest that a process prints if nobody kills it."""
    out, errors = started(folder, environment).communicate(timeout=PATIENCE)
    assert out, errors
    return out.strip()


def pieces(folder):
    return {path.name for path in folder.glob("*.npz")}


def kill_once(folder, environment, moment, delay):
    """Kill -9 `delay` seconds after `moment(pieces)` first holds; false if the process ended before."""
    process, began = started(folder, environment), time.monotonic()
    while not moment(pieces(folder)):
        if process.poll() is not None:
            break
        assert time.monotonic() - began < PATIENCE
        time.sleep(0.001)
    time.sleep(delay)
    alive = process.poll() is None
    process.kill()
    process.communicate()
    return alive


@pytest.fixture(scope="module")
def reference(compiled, tmp_path_factory):
    """Digest of a run never killed."""
    return finished(tmp_path_factory.mktemp("whole"), compiled)


def chunks(count):
    return lambda names: sum(name.startswith("nuts-") for name in names) >= count


def test_a_run_killed_in_the_flow_and_in_the_chains_ends_in_the_same_bits(compiled, reference, tmp_path):
    assert kill_once(tmp_path, compiled, lambda names: "flow-0.npz" in names, 0.0)
    assert not chunks(CHUNKS)(pieces(tmp_path))
    assert kill_once(tmp_path, compiled, chunks(3), 0.0)
    assert len(pieces(tmp_path)) < CHUNKS
    assert digest(bs.resume(tmp_path)) == reference


@pytest.mark.slow
def test_twenty_kills_at_random_moments_lose_a_chunk_at_most(compiled, reference, tmp_path):
    rng = np.random.default_rng(0)
    kept, killed = set(), 0
    for count in np.sort(rng.integers(0, CHUNKS, 20)):
        killed += kill_once(tmp_path, compiled, chunks(count), rng.exponential(0.01))
        now = pieces(tmp_path)
        assert kept <= now  # what was written stays
        kept = now
    assert killed >= 15  # or the moments were none
    assert finished(tmp_path, compiled) == reference
