"""Checkpoints: pieces come back as they were, and every folder that cannot be trusted is refused by name."""

import errno
import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from filelock import FileLock

import bayesplat as bs
from bayesplat import BayesplatError, checkpoint
from bayesplat.checkpoint import LOCK, MANIFEST, NO_JOURNAL, Folder, opened, read_manifest

SETTINGS, DATA, MADE_BY = {"task": "sample", "draws": 500}, (np.arange(6.0), np.array([1.0, np.nan])), {"jax": "1"}


class Piece(NamedTuple):
    values: dict
    key: jax.Array
    count: int


@pytest.fixture
def piece():
    return Piece({"b": jnp.arange(3), "a": np.array([0.1, np.nan])}, jax.random.key(7), 5)


@pytest.fixture
def run(tmp_path):
    """The folder of a run that has begun."""
    with opened(tmp_path / "run", SETTINGS, DATA, MADE_BY) as journal:
        journal.record("part", (np.arange(3),))
    return tmp_path / "run"


def begin(folder, settings=SETTINGS, data=DATA, made_by=MADE_BY):
    with opened(folder, settings, data, made_by) as journal:
        return journal.recall("part", (0,))


def test_a_piece_comes_back_as_it_was(tmp_path, piece):
    journal = Folder(tmp_path)
    assert journal.recall("piece", piece) is None
    journal.record("piece", piece)
    again = journal.recall("piece", piece)
    assert isinstance(again, Piece)
    jax.tree.map(np.testing.assert_array_equal, again.values, piece.values)
    assert jax.random.key_data(again.key).tolist() == jax.random.key_data(piece.key).tolist()
    assert again.count == 5
    journal.record("piece", piece._replace(count=6))
    assert journal.recall("piece", piece).count == 6
    assert [path.name for path in tmp_path.iterdir()] == ["piece.npz"]


def test_seconds_are_those_of_all_processes(run, monkeypatch):
    """Two that were killed, each with something kept after 5 seconds; and a folder from before seconds were."""
    clock = SimpleNamespace(perf_counter=iter([100.0, 105.0, 30.0, 35.0, 0.0]).__next__)
    monkeypatch.setattr(checkpoint, "time", clock)
    (run / "seconds.npz").unlink()
    for earlier in (0.0, 5.0):
        with opened(run, SETTINGS, DATA, MADE_BY) as journal:
            assert journal.seconds == earlier
            journal.record("other", (np.arange(3),))
    with opened(run, SETTINGS, DATA, MADE_BY) as journal:
        assert journal.seconds == 10.0


def test_a_file_that_a_killed_process_left_is_in_nobodys_way(tmp_path, piece):
    for pid in (os.getpid(), 1):
        (tmp_path / f".piece.npz.{pid}.tmp").write_bytes(b"half a file")
    Folder(tmp_path).record("piece", piece)
    assert Folder(tmp_path).recall("piece", piece).count == 5


def test_a_file_of_the_users_is_no_piece_of_a_run(tmp_path):
    np.savez(tmp_path / "data.npz", mine=np.arange(3))
    with pytest.raises(BayesplatError, match="an empty or new folder"):
        begin(tmp_path)
    assert np.load(tmp_path / "data.npz").files == ["mine"]


def test_lost_data_are_not_made_anew(run):
    (run / "data.npz").write_bytes(b"")
    with pytest.raises(BayesplatError, match=r"data\.npz is damaged: .*restore it, or begin again"):
        begin(run)


def test_nothing_is_kept_without_a_folder(piece):
    NO_JOURNAL.record("piece", piece)
    assert NO_JOURNAL.folder is None
    assert NO_JOURNAL.recall("piece", piece) is None


@pytest.mark.parametrize("fault", ["cut", "flipped", "empty", "fewer"])
def test_a_damaged_piece_is_refused_by_name(tmp_path, piece, fault):
    journal, path = Folder(tmp_path), tmp_path / "piece.npz"
    journal.record("piece", piece)
    content = bytearray(path.read_bytes())
    middle = content.find(np.array([0.1]).tobytes())
    content[middle] ^= 1
    faults = {"cut": content[: len(content) // 2], "flipped": content, "empty": b""}
    if fault == "fewer":
        journal.record("piece", piece[:2])
    else:
        path.write_bytes(faults[fault])
    with pytest.raises(BayesplatError, match=r"piece\.npz is damaged: .* delete this file"):
        journal.recall("piece", piece)


def test_objects_are_not_read(tmp_path):
    np.savez(tmp_path / "piece.npz", **{"0": np.array([print], dtype=object)})
    with pytest.raises(BayesplatError, match="damaged"):
        Folder(tmp_path).recall("piece", (0,))


def test_the_same_run_goes_on(run):
    np.testing.assert_array_equal(begin(run)[0], np.arange(3))


OTHERS = [
    ({"settings": {**SETTINGS, "draws": 1000}}, r"other settings \(draws 500, not 1000\): choose another folder"),
    ({"data": (DATA[0], DATA[1][:1])}, "other data"),
    ({"data": (DATA[0] + 1e-9, DATA[1])}, "other data"),
]


@pytest.mark.parametrize(("change", "words"), OTHERS)
def test_another_run_is_refused_and_the_folder_stays(run, change, words):
    before = sorted(path.name for path in run.iterdir())
    with pytest.raises(BayesplatError, match=words):
        begin(run, **change)
    assert sorted(path.name for path in run.iterdir()) == before
    assert begin(run) is not None


def test_other_versions_are_warned_of(run):
    with pytest.warns(UserWarning, match="other versions, or on another device or number of cores"):
        assert begin(run, made_by={"jax": "2"}) is not None


def test_a_folder_with_other_things_in_it_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(BayesplatError, match=r"empty or new folder .*'thesis.tex'"):
        begin(tmp_path)


MANIFESTS = [
    ("", "damaged"),
    ("[]", "damaged"),
    (json.dumps({"format": "bayesplat-checkpoint", "format_version": 99}), "format version 99.* upgrade bayesplat"),
    (json.dumps({"format": "other", "format_version": 1}), "not of a bayesplat checkpoint"),
]


@pytest.mark.parametrize(("text", "words"), MANIFESTS)
def test_a_manifest_that_cannot_be_read_is_refused(run, text, words):
    (run / MANIFEST).write_text(text)
    with pytest.raises(BayesplatError, match=rf"run\.json .*{words}"):
        begin(run)


def test_a_changed_setting_is_refused(run):
    text = (run / MANIFEST).read_text()
    (run / MANIFEST).write_text(text.replace('"draws": 5', '"draws": 6'))
    assert (run / MANIFEST).read_text() != text
    with pytest.raises(BayesplatError, match=r"run\.json is damaged: it is not as it was written"):
        read_manifest(run)


def test_a_folder_without_a_run_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for name, got in {"missing": "nothing", "file": "a file", ".": "a folder without run.json"}.items():
        with pytest.raises(BayesplatError, match=f"Expected the folder of a checkpoint at .*, got {got}"):
            read_manifest(tmp_path / name)


DAMAGED = [{}, {"task": "guess"}, {"more": 1}, {"model": {"n_splats": 0}}, {"names": 3}]


@pytest.mark.parametrize("change", DAMAGED)
def test_settings_that_are_none_are_refused(tmp_path, change):
    settings = {"task": "fit", "model": {}, "names": ["x", "y"], "seed": 0, "starts": 1, **change} if change else {}
    with opened(tmp_path / "run", settings, DATA, MADE_BY):
        pass
    with pytest.raises(BayesplatError, match=r"run\.json is damaged: its settings cannot be read"):
        bs.resume(tmp_path / "run")


def test_one_process_at_a_time(run):
    hold = (
        "from filelock import FileLock\n"
        f"with FileLock({str(run / LOCK)!r}):\n    print('held', flush=True)\n    input()"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(BayesplatError, match="in use by another process"):
            begin(run)
        other.kill()
    assert begin(run) is not None  # the lock ends with the process that held it
    with FileLock(run / LOCK), pytest.raises(BayesplatError, match="in use"):
        begin(run)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BayesplatError, match=r"Cannot write in .*file.run: .*; choose a folder that can be written"):
        begin(tmp_path / "file" / "run")


@pytest.fixture
def mounted(tmp_path):
    """Function that mounts an empty disk with options on a folder, or returns what forbids it."""
    done = []

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(tmp_path)]
        try:
            result = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            return str(error)
        done.extend([tmp_path] * (result.returncode == 0))
        return result.stderr.strip() if result.returncode else None

    yield mount
    for folder in done:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_read_only_folder_is_refused(tmp_path, mounted, monkeypatch):
    def refuse(path, *rest, **more):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    tmp_path.chmod(0o500)
    # root may write in any folder, but not on a disk that nobody may write on; where it may not mount one either, the
    # system call says what it says to others
    if os.access(tmp_path, os.W_OK) and mounted("ro") is not None:
        monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(BayesplatError, match=r"Cannot write in .*; choose a folder that can be written"):
        begin(tmp_path / "run")


def test_a_failed_write_keeps_what_was_there(run, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with opened(run, SETTINGS, DATA, MADE_BY) as journal:
        monkeypatch.setattr(checkpoint.os, "fsync", full)
        way_on = r"Once it can be, bayesplat\.resume\('.*run'\) goes on from what was kept before\."
        with pytest.raises(BayesplatError, match=r"Cannot write .*part\.npz: No space left on device; .*" + way_on):
            journal.record("part", (np.arange(4),))
        np.testing.assert_array_equal(journal.recall("part", (0,))[0], np.arange(3))
    assert not list(run.glob(".*tmp"))


LIMITED = """
import resource, signal, sys
import numpy as np
from bayesplat import BayesplatError, checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
settings, data = {"draws": 5}, (np.arange(3),)
with checkpoint.opened(sys.argv[1], settings, data, {}) as journal:
    journal.record("part", (np.arange(3),))
    try:
        journal.record("part", (np.zeros(100_000),))
    except BayesplatError as refusal:
        print(refusal)
    print(journal.recall("part", (0,))[0].tolist())
"""


def test_a_write_that_the_system_stops_half_way_is_named_and_nothing_is_lost(tmp_path):
    """As on a full disk, and wherever tests run: the system lets no file grow beyond 64 kB."""
    result = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path / "run")], capture_output=True, text=True)
    refusal, kept = result.stdout.splitlines()
    assert f"Cannot write {tmp_path / 'run' / 'part.npz'}: File too large" in refusal
    assert kept == "[0, 1, 2]"
    assert not list((tmp_path / "run").glob(".*tmp"))


def test_a_full_disk_is_named_and_nothing_is_lost(tmp_path, mounted):
    forbidden = mounted("size=64k")
    if forbidden is not None:
        pytest.skip(f"a small disk cannot be mounted here ({forbidden}); the test above stands for it")
    with opened(tmp_path / "run", SETTINGS, DATA, MADE_BY) as journal:
        journal.record("part", (np.arange(3),))
        with pytest.raises(BayesplatError, match="No space left on device"):
            journal.record("part", (np.zeros(100_000),))
    np.testing.assert_array_equal(begin(tmp_path / "run")[0], np.arange(3))
