"""The README's code runs as it stands."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_python_block_runs_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 3
    names: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    scores = [float(score) for score in re.findall(r"0\.\d+", capsys.readouterr().out)]
    assert len(scores) == 5
    assert min(scores) > 0.5
    assert names["model"].conditions_.keys() == {"cell_type", "phase", "treatment"}
    assert names["more"].obs["is_synthetic"].sum() > 1000
