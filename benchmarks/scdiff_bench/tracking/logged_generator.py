"""A saved generator as a model of an MLflow run."""

from __future__ import annotations

import tempfile
import warnings
from importlib import metadata
from pathlib import Path
from typing import Any

NEEDED = ("mlflow", "pandas", "scdiff-augment", "torch")


def log_generator(client: Any, experiment: str, run_id: str, name: str, path: Path) -> str:
    """Log a generator as a pyfunc model; nothing is pickled.

    Parameters
    ----------
    client : MlflowClient
        Of the store.
    experiment, run_id : str
        Where it belongs.
    name : str
        Of the data set.
    path : Path
        Folder of the saved generator.

    Returns
    -------
    str
        Id of the model; ``mlflow.pyfunc.load_model(f"models:/{id}")`` loads it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # MLflow about type hints of its own
        import mlflow.pyfunc
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    signature = ModelSignature(
        inputs=Schema([ColSpec("string", "y"), ColSpec("long", "n", required=False)]),
        params=ParamSchema([ParamSpec("guidance_scale", "double", 1.0)]),
    )
    code = Path(__file__).with_name("pyfunc_generator.py")
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings(record=True):
        # It wants an input example, which would load and run the model at every logging, and type
        # hints, which it would read as a schema beside the signature; and it says so past filters.
        warnings.simplefilter("ignore", UserWarning)
        folder = Path(scratch) / "model"
        mlflow.pyfunc.save_model(
            folder,
            python_model=code,
            artifacts={"generator": str(path)},
            signature=signature,
            # Named, because inferring them takes seconds.
            pip_requirements=[f"{p}=={metadata.version(p)}" for p in NEEDED],
        )
        model = client.create_logged_model(
            experiment, f"generator-{name}", source_run_id=run_id, model_type="generator"
        )
        client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    client.set_tag(run_id, f"generator.{name}", f"models:/{model.model_id}")
    found: str = model.model_id
    return found
