"""Command line: nothing is lost or left half written, whatever happens; and as a process."""

import contextlib
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
from pathlib import Path

import anndata as ad
import pytest
from command_line import FIT, STEPS, done, listing, run

import scdiff_augment
from scdiff_augment import LatentDiffusion

SAMPLE = ["sample", "model", "new.h5ad", "--n", "5"]


@pytest.mark.parametrize("name", ["new.h5ad", "new.zarr"])
def test_results_are_replaced_only_when_told(name, here):
    done("sample", "model", name, "--n", "5")
    before = listing()
    result = run("sample", "model", name, "--n", "7")
    assert (result.exit_code, "--force" in result.stderr) == (2, True)
    assert listing() == before
    done("sample", "model", name, "--n", "7", "--force")
    read = ad.read_zarr if name.endswith("zarr") else ad.read_h5ad
    assert read(name).n_obs == 7
    assert {path.name for path in here.iterdir()} == {
        "cells.h5ad",
        "heldout.h5ad",
        "model",
        "synthetic.h5ad",
        name,
    }


def test_what_is_no_result_is_never_replaced(here):
    Path("new.zarr").mkdir()
    Path("new.zarr/thesis.txt").write_text("dear")
    Path("new.h5ad").mkdir()
    Path("notes").mkdir()
    Path("notes/thesis.txt").write_text("dear")
    before = listing()
    for arguments in (
        ["sample", "model", "new.zarr", "--n", "5"],
        ["sample", "model", "new.h5ad", "--n", "5"],
        ["fit", "cells.h5ad", "notes"],
    ):
        result = run(*arguments, "--force")
        assert (result.exit_code, "is never replaced" in result.stderr) == (2, True)
    assert listing() == before


def test_a_model_is_replaced_only_when_told_and_other_files_of_its_folder_stay(here):
    Path("model/notes.txt").write_text("dear")
    result = run(*FIT)
    assert (result.exit_code, "--force" in result.stderr) == (2, True)
    assert list(LatentDiffusion.load("model").conditions_) == ["cell_type", "condition"]
    done(*FIT, "--force")
    assert list(LatentDiffusion.load("model").conditions_) == []
    assert Path("model/notes.txt").read_text() == "dear"
    done("add-condition", "model", "cells.h5ad", "--label-key", "donor")
    done("add-condition", "model", "cells.h5ad", "--label-key", "donor", "--force")
    assert list(LatentDiffusion.load("model").conditions_) == ["donor"]


def test_links_stay_links(here):
    Path("there.h5ad").symlink_to("elsewhere.h5ad")
    done("sample", "model", "there.h5ad", "--n", "5")
    assert Path("there.h5ad").is_symlink()
    assert ad.read_h5ad("elsewhere.h5ad").n_obs == 5


@pytest.mark.parametrize("name", ["new.h5ad", "new.zarr"])
def test_a_write_that_fails_leaves_what_was_there(name, here, monkeypatch):
    done("sample", "model", name, "--n", "5")
    before = listing()

    def half(adata, place, **options):
        (Path(place) / "part" if name.endswith("zarr") else Path(place)).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ad.AnnData, f"write_{name[4:]}", half)
    result = run("sample", "model", name, "--n", "7", "--force")
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert listing() == before


def test_a_store_comes_back_when_the_new_one_cannot_be_moved(here, monkeypatch):
    done("sample", "model", "new.zarr", "--n", "5")
    before, replace = listing(), os.replace

    def fails(source, target):
        if Path(source).parent.name.startswith(".new.zarr.partial"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails)
    assert run("sample", "model", "new.zarr", "--n", "7", "--force").exit_code == 130
    assert listing() == before


@pytest.mark.parametrize("force", [False, True])
def test_an_interrupted_fit_leaves_everything_as_it_was(force, here, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(LatentDiffusion, "save", interrupt)
    before = listing()
    result = run(*FIT[:2], "model" if force else "fresh", *FIT[3:], *(["--force"] * force))
    assert (result.exit_code, "interrupted" in result.stderr) == (130, True)
    assert listing() == before
    assert not Path("fresh").exists()


def test_a_folder_that_cannot_be_written_is_found_before_the_work(here, monkeypatch):
    def never(*_, **__):
        raise AssertionError("worked before it looked")

    def read_only(self, *_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(LatentDiffusion, "load", never)
    monkeypatch.setattr(Path, "touch", read_only)
    result = run(*SAMPLE)
    assert (result.exit_code, "cannot be written: Permission denied" in result.stderr) == (2, True)


# --- as a process -------------------------------------------------------------------------------


def process(*arguments, **options):
    """Start ``python -m scdiff_augment`` as users do."""
    environment = {**os.environ, "PYTHONPATH": str(Path(scdiff_augment.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-m", "scdiff_augment", *arguments],
        env=environment,
        # A job in the background ignores SIGINT, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options},
    )


def test_as_a_process(here):
    result = process("sample", "modell", *SAMPLE[2:])
    out, err = result.communicate()
    assert (result.returncode, out) == (2, "")
    assert err.startswith("error: modell does not exist.")
    assert err.count("\n") == 1
    result = process(*SAMPLE)
    out, err = result.communicate()
    assert (result.returncode, out) == (0, "")
    assert err.startswith("wrote new.h5ad: 5 cells × 40 genes")


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_without_a_trace(sent, code, here):
    before = listing()
    arguments = ["fit", "cells.h5ad", "long", "--denoiser-steps", "10000000"]
    running = process(*arguments)
    while not running.stderr.readline().startswith("learning"):
        assert running.poll() is None
    time.sleep(0.5)
    running.send_signal(sent)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (code, "")
    assert "Traceback" not in err
    assert listing() == before
    assert not [path for path in here.iterdir() if path.name.startswith(".")]


def hidden(here):
    return sorted(path.name for path in here.iterdir() if path.name.startswith("."))


def test_the_next_run_removes_what_a_killed_one_left(here):
    arguments = ["fit", "cells.h5ad", "long", "--denoiser-steps", "10000000"]
    running = process(*arguments)
    while not running.stderr.readline().startswith("learning"):
        assert running.poll() is None
    (name,) = hidden(here)
    assert "removed" not in done(*FIT[:2], "long", *FIT[3:]).stderr  # it is still at work
    assert hidden(here) == [name]
    shutil.rmtree("long")
    running.kill()
    running.communicate(timeout=60)
    (here / name.replace(socket.gethostname(), "elsewhere")).mkdir()
    (here / name.replace(socket.gethostname(), "elsewhere") / "lock").touch()
    (here / f".longer.partial-{socket.gethostname()}-x").mkdir()
    (here / f".longer.partial-{socket.gethostname()}-x" / "lock").touch()
    said = done(*FIT[:2], "long", *FIT[3:]).stderr
    assert f"removed {here / name}, which a run that was killed had left" in said
    assert len(hidden(here)) == 2
    assert not (here / name).exists()


def test_a_file_system_without_locks(here, monkeypatch):
    def none(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", none)
    killed = here / f".new.h5ad.partial-{socket.gethostname()}-x"
    killed.mkdir()
    (killed / "lock").touch()
    done(*SAMPLE)
    assert hidden(here) == [killed.name]


def test_progress_is_shown_where_somebody_looks(here):
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    with process("fit", "cells.h5ad", "seen", *STEPS, stderr=follower) as running:
        os.close(follower)
        shown = b""
        with open(leader, "rb", buffering=0) as screen, contextlib.suppress(OSError):
            while part := screen.read(4096):  # ends in an error when the other end is closed
                shown += part
    assert running.returncode == 0
    assert re.search(rb"denoiser: 100%.*20/20", shown)
