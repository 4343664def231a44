"""
Comparing strategies on a file
==============================

``scdiff-bench`` compares strategies on your own cells, and writes a page and MLflow runs. Here it
runs a small study; ``scdiff-bench compare my.h5ad --label-key cell_type`` runs the standard one.
"""

# %%
# A file as yours may be, and a config: three types drawn to ten training cells, four strategies,
# two classifiers, two draws. The oracle tops up with real cells that the split held out; it says
# what is possible.

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import mlflow
import pandas as pd
import scanpy as sc

folder = Path(tempfile.mkdtemp())
cells = sc.datasets.pbmc68k_reduced().raw.to_adata()
cells.obs = cells.obs[["bulk_labels"]].astype(str)
cells.write_h5ad(folder / "cells.h5ad")
(folder / "study.yaml").write_text(
    f"""
name: my_cells
title: Which strategy finds ten cells of a type?
datasets: [{{path: {folder / "cells.h5ad"}, label_key: bulk_labels}}]
split:
  kind: rare_cell_draw
  rare: [CD14+ Monocyte, CD19+ B, CD56+ NK]
  n: 10
  n_other: null
  draws: 2
n_genes: 765
strategies: [none, class_weight, diffusion, oracle]
classifiers: [knn, random_forest]
scores: [rare_f1, macro_f1]
"""
)
tracking = f"sqlite:///{folder / 'mlflow.db'}"
command = [sys.executable, "-m", "scdiff_bench", "run", str(folder / "study.yaml")]
done = subprocess.run(
    [*command, "--out", str(folder), "--tracking-uri", tracking],
    cwd=folder, capture_output=True, text=True, check=True,
)  # fmt: skip
print(done.stdout)

# %%
# The rows
# --------
#
# A page is made of rows, one for each fold, strategy and classifier. Here are their means.

rows = pd.read_parquet(folder / "my_cells" / "rows.parquet")
rows.pivot_table(index="strategy", columns="classifier", values=["rare_f1", "macro_f1"]).round(2)

# %%
# The page
# --------
#
# ``my_cells/index.html`` opens with the verdict; :doc:`/user_guide/comparison` says how to read
# it. One of its figures:

picture = next((folder / "my_cells" / "figures").glob("*.png"))
figure, axis = plt.subplots(figsize=(8, 2.6), layout="constrained")
axis.imshow(plt.imread(picture))
_ = axis.axis("off")

# %%
# MLflow
# ------
#
# A study is an experiment, and each pipeline, a strategy with a classifier, a run. ``mlflow ui``
# shows the same as a table to sort.

mlflow.set_tracking_uri(tracking)
runs = mlflow.search_runs(search_all_experiments=True)
columns = ["tags.mlflow.runName", "metrics.macro_f1", "metrics.rare_f1", "metrics.seconds"]
runs[columns].dropna().round(2)
