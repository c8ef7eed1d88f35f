"""Precision and device of inference: asked for in one place, on one thread, and nowhere else."""

import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesplat import BayesplatError, SplatModel, devices


def test_inference_is_in_float64_inside_the_block_only():
    with devices.inference():
        assert jnp.ones(1).dtype == jnp.float64
        assert jnp.ones(1).devices() == {jax.devices("cpu")[0]}
    assert jnp.ones(1).dtype == jnp.float32


def test_other_threads_keep_their_precision():
    seen = []
    with devices.inference():
        thread = threading.Thread(target=lambda: seen.append(jnp.ones(1).dtype))
        thread.start()
        thread.join()
    assert seen == [jnp.float32]


def test_an_error_inside_the_block_leaves_it():
    try:
        with devices.inference():
            raise ValueError
    except ValueError:
        pass
    assert jnp.ones(1).dtype == jnp.float32


@pytest.mark.parametrize("call", ["fit", "sample"])
def test_what_compiles_its_own_parts_is_refused_inside_jit(call):
    x = np.linspace(0.0, 1.0, 10)
    with pytest.raises(BayesplatError, match=f"Expected `{call}` to be called outside of jax.jit"):
        jax.jit(lambda scale: scale * getattr(SplatModel(2), call)(x, x**2).predict(x))(1.0)


def test_small_problems_stay_on_the_cpu(monkeypatch):
    gpu, cpu, real = object(), object(), jax.devices("cpu")[0]
    monkeypatch.setattr(jax, "devices", lambda kind=None: [cpu] if kind == "cpu" else [gpu])
    assert devices.choose_device(devices.GPU_PAIRS - 1) is cpu
    assert devices.choose_device(devices.GPU_PAIRS) is gpu
    with jax.default_device(real):  # what the user chose goes before
        assert devices.choose_device(devices.GPU_PAIRS) is real


ORDERS = "import arviz, bayesplat, numpyro; from numpyro import distributions as d, infer"


def test_a_device_may_be_named_or_there_be_no_cpu(monkeypatch):
    before = jax.config.jax_default_device
    jax.config.update("jax_default_device", "cpu")
    try:
        assert devices.choose_device(1) == jax.devices("cpu")[0]
    finally:
        jax.config.update("jax_default_device", before)
    gpu = object()

    def without_cpu(kind=None):
        if kind == "cpu":
            raise RuntimeError("Unknown backend cpu")
        return [gpu]

    monkeypatch.setattr(jax, "devices", without_cpu)
    assert devices.choose_device(1) is gpu


def test_arviz_and_numpyro_live_together():
    """ArviZ imports NumPyro lazily; loaded twice, its classes would not know each other and factors would fail."""
    code = f"{ORDERS}; import sys; print(numpyro.distributions is sys.modules['numpyro.distributions'] is d)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True", done.stderr


def test_compiled_programs_are_dropped_before_the_process_runs_out_of_maps(monkeypatch, tmp_path):
    limit = tmp_path / "max_map_count"
    monkeypatch.setattr(devices, "MAPS_LIMIT", limit)
    limit.write_text("1000000000\n")  # whatever this process holds by now
    double = jax.jit(lambda x: 2 * x)
    double(1.0)
    devices.make_room()
    assert double._cache_size() == 1  # room enough
    limit.write_text("10\n")
    devices.make_room()
    assert double._cache_size() == 0
    assert float(double(1.0)) == 2.0
    monkeypatch.setattr(devices, "MAPS_LIMIT", tmp_path / "not on this system")
    devices.make_room()
    assert double._cache_size() == 1
