"""Progress: bars with totals, and lines where there is no terminal."""

import re
import time

import pytest
from command_line import STEPS, run
from tiny import make_model, make_sampler

from scdiff_augment.compute import progress as shown


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(shown, "EVERY", 0.0)
    monkeypatch.setattr(shown, "GRACE", 0.0)


def test_every_step_counts_up_to_its_total(fast, counts, capsys):
    """Lines come without waiting here, so that the last of each step says all is done."""
    X, labels = counts
    model = make_model(verbose=True, encoder="autoencoder", classifier_steps=3).fit(X)
    model.add_condition("type", labels).sample(n=7)
    lines = capsys.readouterr().err.splitlines()
    found = [re.fullmatch(r"(.+): ([\d,]+) of ([\d,]+) (step|cell)s", line) for line in lines]
    assert all(found)
    last = {match[1]: (match[2], match[3]) for match in found}
    n_codec = str(len(model.history_["encoder_loss"]) + 20)
    assert last == {
        "codec": (n_codec, n_codec),
        "denoiser": ("20", "20"),
        "condition type": ("3", "3"),
        "sampling": ("7", "7"),
    }
    assert int(n_codec) == sum(line.startswith("codec") for line in lines)


def test_lines_are_seconds_apart_and_none_come_without_verbose(counts, capsys):
    make_sampler(verbose=True).fit_resample(*counts)
    make_sampler().fit_resample(*counts)
    assert capsys.readouterr().err == ""  # it took no 10 s


def test_a_bar_on_a_terminal_knows_its_total(counts, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    make_model(verbose=True).fit(counts[0])
    err = capsys.readouterr().err
    assert re.search(r"codec: 100%.*20/20", err)
    assert re.search(r"denoiser: 100%.*20/20", err)


def test_a_command_says_what_goes_on(fast, here, monkeypatch):
    """Steps without a count, such as reading a large file, are repeated."""
    import scdiff_augment.cli.commands.fit as command

    def slow(*arguments):
        time.sleep(0.3)
        return reading(*arguments)

    reading = command.open_cells
    monkeypatch.setattr(command, "open_cells", slow)
    monkeypatch.setattr(shown, "EVERY", 0.05)
    arguments = ["fit", "cells.h5ad", "other", *STEPS, "--n-latent", "5"]
    result = run(*arguments)
    assert result.exit_code == 0
    assert re.search(r"^still reading cells.h5ad \(\d+ s\)$", result.stderr, re.MULTILINE)
    quiet = run(*arguments, "--force", "--quiet")
    assert (quiet.exit_code, quiet.stderr) == (0, "")


def test_a_heart_stops_with_its_command(fast, capsys):
    with shown.heartbeat():
        shown.said("waiting")
    seen = capsys.readouterr().err
    time.sleep(0.05)
    assert capsys.readouterr().err == ""
    assert set(seen.splitlines()) <= {"still waiting (0 s)"}


def test_progress_of_unknown_length_is_asked_for_it_late(fast, capsys):
    totals = []
    with shown.progress(lambda: totals[-1], "step", "cell", verbose=True) as done:
        totals.append(3)
        done(2)
    assert capsys.readouterr().err == "step: 2 of 3 cells\n"
