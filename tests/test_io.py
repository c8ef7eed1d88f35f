"""Files: atomic, versioned, never pickled; a damaged or foreign file is refused by name."""

import json
import os
import shutil
import tracemalloc

import h5py
import made_up
import numpy as np
import pytest

import bayesplat as bs
from bayesplat import io


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    post = made_up.posterior(1)
    path = tmp_path_factory.mktemp("io") / "run.nc"
    post.save(path)
    return post, path


@pytest.mark.parametrize(
    "spec",
    [
        bs.SplatModel(),
        bs.SplatModel(
            2,
            prior=bs.Repulsive(bs.RegularizedHorseshoe(n_active=1), strength=0.5),
            likelihood=bs.StudentT("varying", df=5.0),
            mother=bs.mothers.Box(order=3),
            lengths=bs.Lengths(typical=0.2),
        ),
        bs.SplatModel(prior=bs.R2D2(0.5), mother=bs.mothers.StudentT(7.0), covariance="diag", trend="linear"),
        bs.SplatModel(mother=bs.mothers.Mixed((bs.mothers.Gaussian(), bs.mothers.Box(order=64)))),
    ],
)
def test_a_specification_survives_json(spec):
    assert io.spec_from_json(json.loads(json.dumps(io.spec_to_json(spec))), bs.SplatModel) == spec


class Cosine(bs.mothers.Gaussian):
    """A mother that no file can name."""


def test_what_a_file_cannot_name_is_refused():
    with pytest.raises(bs.BayesplatError, match=r"own priors, likelihoods and mothers, .* got Cosine\(\)"):
        io.spec_to_json(bs.SplatModel(mother=Cosine()))


def test_links_are_followed_and_permissions_stay(saved, tmp_path):
    post, _ = saved
    real, link = tmp_path / "real.nc", tmp_path / "link.nc"
    real.touch(0o600)
    link.symlink_to(real)
    post.save(link)
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    assert bs.load(real).spec == post.spec


def test_settings_survive(saved):
    post, path = saved
    again = bs.load(path)
    assert again.spec == post.spec
    assert again.names == post.names
    for name, values in post.data["posterior"].items():
        np.testing.assert_array_equal(values, again.data["posterior"][name])


def test_saving_over_a_loaded_file_works_and_leaves_nothing_else(saved, tmp_path):
    path = tmp_path / "run.nc"
    shutil.copy(saved[1], path)
    bs.load(path).save(path)
    assert os.listdir(tmp_path) == ["run.nc"]


def test_numbers_of_numpy_become_plain_ones():
    """As in `for k in np.arange(5, 30, 5)`, which type checkers refuse and users write."""
    spec, prior = bs.SplatModel(), bs.RegularizedHorseshoe(4.0)
    object.__setattr__(prior, "n_active", np.float32(4.0))
    object.__setattr__(spec, "n_splats", np.int64(20))
    object.__setattr__(spec, "prior", prior)
    plain = bs.SplatModel(20, prior=bs.RegularizedHorseshoe(4.0))
    assert json.dumps(io.spec_to_json(spec)) == json.dumps(io.spec_to_json(plain))


def truncate(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def edit(**attributes):
    def change(path):
        with h5py.File(path, "r+") as file:
            file.attrs.update(attributes)
        io.seal(path)  # HDF5 has cut the old one off

    return change


def drop(group):
    def change(path):
        with h5py.File(path, "r+") as file:
            del file[group]
        io.seal(path)

    return change


def foreign_class(path):
    with h5py.File(path, "r+") as file:
        settings = json.loads(file.attrs["settings"])
        settings["spec"]["prior"]["is"] = "os.system"
        file.attrs["settings"] = json.dumps(settings)
    io.seal(path)


def edit_without_seal(path):
    edit(x=1)(path)
    path.write_bytes(path.read_bytes()[: -io.SEALED])


DAMAGE = {
    "truncated": (truncate, "is damaged"),
    "empty": (lambda path: path.write_bytes(b""), "is damaged"),
    "text": (lambda path: path.write_text("x,y\n1,2\n"), "is damaged"),
    "foreign": (edit(format="something else"), "is not a bayesplat result file"),
    "newer": (edit(format_version=io.VERSION + 1), "upgrade bayesplat"),
    "no json": (edit(settings="{"), "is damaged"),
    "no posterior": (drop("posterior"), "lacks posterior"),
    "changed by another program": (edit_without_seal, "is damaged"),
    "a class of its own": (foreign_class, "settings cannot be read"),
    "missing": (lambda path: path.unlink(), "got nothing"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_files_are_refused_by_name(saved, tmp_path, case):
    harm, message = DAMAGE[case]
    path = tmp_path / "harmed.nc"
    shutil.copy(saved[1], path)
    harm(path)
    with pytest.raises(bs.BayesplatError) as caught:
        bs.load(path)
    assert message in str(caught.value)
    assert "harmed.nc" in str(caught.value)


def test_a_file_from_before_there_were_seals_is_read(saved, tmp_path):
    path = tmp_path / "old.nc"
    shutil.copy(saved[1], path)
    edit(format_version=3)(path)
    path.write_bytes(path.read_bytes()[: -io.SEALED])
    assert bs.load(path).spec == saved[0].spec


def mutate(content, rng):
    """The content with a few bits flipped, bytes set, blocks emptied or copied elsewhere, or its end lost."""
    changed = np.frombuffer(content, np.uint8).copy()
    at = rng.integers(changed.size, size=rng.choice([1, 2, 8]))
    size = rng.choice([8, 64, 512])
    match rng.integers(5):
        case 0:
            changed[at] ^= np.uint8(1) << rng.integers(8, size=at.size, dtype=np.uint8)
        case 1:
            changed[at] = rng.choice([0, 127, 128, 255], at.size)
        case 2:
            changed[at[0] : at[0] + size] = 0
        case 3:
            block = changed[at[-1] : at[-1] + size].copy()
            changed[at[0] : at[0] + size][: block.size] = block[: changed.size - at[0]]
        case 4:
            changed = changed[: at[0]]
    return changed.tobytes()


def test_mutated_files_are_refused(saved, tmp_path):
    content, path = saved[1].read_bytes(), tmp_path / "harmed.nc"
    tracemalloc.start()
    for seed in range(500):
        changed = mutate(content, np.random.default_rng(seed))
        path.write_bytes(changed)
        if changed == content:
            continue  # zeros to zeros
        with pytest.raises(bs.BayesplatError, match=r"harmed\.nc is (damaged|not a bayesplat)"):
            bs.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * len(content)


def test_a_folder_that_is_not_there_is_named(saved, tmp_path):
    with pytest.raises(bs.BayesplatError, match="nowhere"):
        saved[0].save(tmp_path / "nowhere" / "run.nc")


def test_a_full_disk_leaves_the_old_file(saved, tmp_path, monkeypatch):
    """HDF5 never sees the disk: where it is full, HDF5 may end the process."""
    path = tmp_path / "run.nc"
    path.write_text("old")

    def fail(beside, content):
        with beside.open("wb") as file:
            file.write(content[:1000])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    with pytest.raises(bs.BayesplatError, match="No space left on device; nothing was changed there"):
        saved[0].save(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["run.nc"]
