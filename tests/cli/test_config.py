"""Runs as TOML files: what is printed is what is read, options override it, and everything else is refused by name."""

import random
from dataclasses import replace
from inspect import signature

import jax
import pytest

import bayesplat as bs
from bayesplat.cli.config import SAMPLE as DEFAULTS
from bayesplat.cli.config import read_toml, to_toml
from bayesplat.cli.device import keep_compiled
from bayesplat.cli.fit import EDGED

from . import run

MODEL = bs.SplatModel(
    n_splats=7,
    prior=bs.Repulsive(bs.R2D2(r2=0.7)),
    likelihood=bs.StudentT(noise="varying", scale=2.0, n_bumps=5, df=3.0),
    mother=bs.mothers.Wendland(),
    lengths=bs.Lengths(typical=0.2),
)
SAMPLE = {"method": "svi", "draws": 8, "guide": "normal", "target_accept": 0.95, "max_tree_depth": 7}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(to_toml(MODEL, SAMPLE))
    return path


def shown(*options):
    """What fit would use: it needs no data to say so."""
    result = run("fit", "--show-config", *options)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_what_is_written_is_read(config):
    assert read_toml(config) == (MODEL, SAMPLE)


def test_what_is_shown_is_read(tmp_path):
    (tmp_path / "run.toml").write_text(shown("--splats", 6, "--chains", 3))
    model, sample = read_toml(tmp_path / "run.toml")
    assert model == bs.SplatModel(n_splats=6)
    assert sample == DEFAULTS | {"chains": 3}


def test_all_settings_of_sample_but_objects_may_stand_in_a_file(tmp_path):
    objects = {"self", "x", "y", "y_err", "start", "progress", "checkpoint"}
    settings = {**DEFAULTS, "max_tree_depth": 6}
    assert set(settings) == set(signature(bs.SplatModel.sample).parameters) - objects
    (tmp_path / "run.toml").write_text(to_toml(MODEL, settings))
    assert read_toml(tmp_path / "run.toml") == (MODEL, settings)


def test_options_override_the_file_and_the_file_overrides_defaults(config, tmp_path):
    (tmp_path / "shown.toml").write_text(shown("--config", config, "--noise", "constant", "--seed", 3))
    model, sample = read_toml(tmp_path / "shown.toml")
    assert model == replace(MODEL, likelihood=replace(MODEL.likelihood, noise="constant"))
    assert sample == DEFAULTS | SAMPLE | {"seed": 3}


HORSESHOE = bs.RegularizedHorseshoe(n_active=2.0, slab_scale=3.0)
NORMAL = bs.Normal(noise="varying", scale=2.0, n_bumps=5)
WENDLAND = bs.mothers.Wendland()
JUMPING = bs.mothers.Mixed((WENDLAND, bs.mothers.Box(8)))

OVERRIDDEN = [
    ({"likelihood": bs.StudentT(df=3.0)}, "--noise varying", {"likelihood": bs.StudentT(noise="varying", df=3.0)}),
    ({"likelihood": NORMAL}, "--student-t", {"likelihood": bs.StudentT(noise="varying", scale=2.0, n_bumps=5)}),
    ({"likelihood": bs.StudentT(df=3.0)}, "--student-t", {}),
    ({"prior": HORSESHOE}, "--n-active 3", {"prior": replace(HORSESHOE, n_active=3.0)}),
    ({"prior": HORSESHOE}, "--prior horseshoe", {}),
    ({"prior": HORSESHOE}, "--splats 9", {"n_splats": 9}),
    ({"prior": bs.R2D2(r2=0.3)}, "--prior r2d2", {}),
    ({"prior": bs.R2D2()}, "--prior horseshoe --n-active 3", {"prior": bs.RegularizedHorseshoe(n_active=3.0)}),
    ({"mother": WENDLAND}, "--jumps", {"mother": bs.mothers.Mixed((WENDLAND, EDGED))}),
    ({"mother": JUMPING}, "--jumps", {}),
]


@pytest.mark.parametrize(("fields", "options", "changes"), OVERRIDDEN)
def test_an_option_overrides_what_it_names_and_nothing_else(fields, options, changes, tmp_path):
    old, new = tmp_path / "run.toml", tmp_path / "shown.toml"
    old.write_text(to_toml(bs.SplatModel(**fields), {}))
    new.write_text(shown("--config", old, *options.split()))
    assert read_toml(new)[0] == bs.SplatModel(**fields | changes)


def test_the_dial_of_another_prior_is_refused(config):
    result = run("fit", "--show-config", "--config", config, "--n-active", 3)
    assert result.exit_code == 2
    assert "--n-active is for the horseshoe, but the prior is Repulsive(" in result.stderr


WRONG = [
    ("n_splats = [", "cannot be read as TOML"),
    ("[modl]", "'modl'; expected model, sample"),
    ("model = 3", "Expected tables"),
    ("[model]\nn_splat = 3", "'n_splat'; expected n_splats"),
    ("[model]\nn_splats = 0", "Expected `n_splats` to be an integer of at least 1, got 0"),
    ("[model.prior]\nis = 'os.system'", "names something that bayesplat does not have"),
    ("[model.prior]\nscale = 1.0", "names something that bayesplat does not have"),
    ("[model.prior]\nis = 'priors.Ridge'\nscal = 1.0", "names something that bayesplat does not have"),
    ("[sample]\nseeds = 3", "'seeds'; expected method, chains"),
    ("[sample]\nseed = 'x'", "Expected seed in .sample. of .* to be of type int, got 'x'"),
    ("[sample]\nseed = true", "of type int, got True"),
    ("[sample]\ntarget_accept = '1'", "of type float, got '1'"),
    ("[sample]\nmax_tree_depth = 1.5", "of type int, got 1.5"),
    ("[sample]\nprogress = true", "'progress'; expected method, chains"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_what_a_file_should_not_hold_is_refused_by_name(tmp_path, text, words):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(bs.BayesplatError, match=words) as refusal:
        read_toml(tmp_path / "run.toml")
    assert "run.toml" in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(bs.BayesplatError, match=r"Expected a TOML file at .*, got nothing"):
        read_toml(tmp_path / "run.toml")


def mutated(text, rng):
    """The text with a few characters or lines changed, dropped or doubled."""
    for _ in range(rng.randint(1, 4)):
        a, b = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        b = min(b, a + rng.choice([1, 1, 5, 60]))
        put = rng.choice(["", text[a:b] * 2, chr(rng.randrange(1, 0x3000)), "=", "[", "nan", "1e999", '"', "-9", "\n"])
        text = text[:a] + put + text[b:]
    return text


def test_mutated_files_are_read_or_refused(config):
    rng, text, sentences = random.Random(0), config.read_text(), []
    for _ in range(500):
        config.write_text(mutated(text, rng), encoding="utf-8")
        try:
            model, _ = read_toml(config)
        except bs.BayesplatError as refusal:
            sentences.append(str(refusal))
        else:
            assert isinstance(model, bs.SplatModel)
    assert 100 < len(sentences) < 500
    assert all(str(config) in sentence for sentence in sentences)


def test_a_device_that_is_not_there_is_refused(tmp_path):
    result = run("fit", "data.csv", "--target", "y", "--out", "run.nc", "--device", "gpu")
    assert result.exit_code == 2
    assert "There is no GPU that JAX can use here" in result.stderr


def test_programs_that_compile_in_no_time_are_kept_in_any_folder(monkeypatch, tmp_path):
    before = jax.config.jax_persistent_cache_min_compile_time_secs, jax.config.jax_compilation_cache_dir
    monkeypatch.delenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", raising=False)
    try:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)
        jax.config.update("jax_compilation_cache_dir", str(tmp_path))
        keep_compiled()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path)
        assert jax.config.jax_persistent_cache_min_compile_time_secs == 0.0
    finally:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", before[0])
        jax.config.update("jax_compilation_cache_dir", before[1])
