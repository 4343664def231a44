"""Conditions: learnt one by one on top of a backbone; the whole is saved and loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from scdiff_augment.codec.class_profiles import Piece
from scdiff_augment.compute.devices import device_of
from scdiff_augment.compute.training_loop import bounded_threads
from scdiff_augment.conditions.effects import learn_effects
from scdiff_augment.expression.checks import require_codes, require_condition_name, require_weights
from scdiff_augment.sampling.requests import groups_of, require_same_groups

from . import saved_models as storage
from .backbone import Backbone
from .compute import processes as team
from .diffusion import training as learning


class Conditioned(Backbone):
    """What of `LatentDiffusion` learns and keeps conditions; parameters are documented there."""

    def add_condition(
        self,
        name: str,
        labels: ArrayLike,
        X: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        within: Mapping[str, ArrayLike] | None = None,
    ) -> Self:
        """Learn to steer towards the classes of one more annotation.

        Beside the gradients, which act in the latent, each class gets what its counts have in each
        gene beyond those that its cells' latents, and their classes in conditions added before, let
        expect, shrunken by empirical Bayes. `sample` adds it to new cells; `interpolate`, between
        classes, does not. Of a stream given to `fit`, the cells of the codec tell it; of `X`, each
        condition by itself.

        Parameters
        ----------
        name : str
            What `sample` will call it, for example "cell_type".
        labels : array-like of shape (n_cells,)
            Class of each cell.
        X : {array-like, data frame, sparse matrix} of shape (n_cells, n_genes), or stream, optional
            The labelled cells; those of `fit`, in their order, by default. A model that was
            loaded from a folder holds no cells and needs them.
        sample_weight : array-like of shape (n_cells,), optional
            Weight of each cell of X; equal by default. The cells of `fit` keep theirs.
        within : mapping of one name to array-like of shape (n_cells,), optional
            Another condition, added before, and the class that each of these cells has in it:
            ``add_condition("treatment", treatments, within={"cell_type": types})``. Combinations
            of the two that no cell has can then be sampled: cells of that type under a treatment
            that it was seen in, moved by what the treatment changes in the other types, of which
            similar ones count more (kriging over the types' mean latents).
            ``history_["notes"]`` names each combination and the weights.

        Returns
        -------
        object
            The model itself; codec and denoiser are unchanged.

        Raises
        ------
        ValueError
            If `name` is no name or one of a column that marks synthetic cells, labels are missing
            or of another number than the cells, `within` does not name one known condition, or the
            model holds no cells and `X` is not given.
        """
        self._require_fitted()
        require_condition_name(name)
        z, weight = self._z, self._weight
        if X is not None:
            z = torch.from_numpy(self.encode(X))
            weight = torch.from_numpy(require_weights(sample_weight, len(z))).float()
        elif z is None or self._kept is None:
            raise ValueError(
                f"a model that was loaded from a folder or a pickle holds no cells to learn "
                f"condition '{name}' from. Pass them: add_condition('{name}', labels, X)."
            )
        whose = "`X`" if X is not None else "`fit`"
        codes = require_codes(f"condition '{name}'", labels, len(z), f"the cells of {whose}")
        classes = np.unique(np.asarray(labels))
        require_same_groups(name, classes, self.classifiers_, self.conditions_)
        outer = None if within is None else groups_of(name, within, len(z), self.conditions_)
        with bounded_threads(self.n_jobs), team.on_device(device_of(self.device)):
            width = self.width if self.classifier_steps else None
            target = torch.from_numpy(codes)
            pieces = self._pieces(name, X, z.numpy(), codes)
            shift = self.codec_.class_shift(pieces, len(classes), self.gene_shifts_)
            made = learning.classifier_for(z, target, len(classes), weight, width, self._torch)
            steps = learning.train_classifier(
                made, z, target, weight, self.ladder_, self.classifier_steps, self._torch
            )
            losses = self._watch(steps, self.classifier_steps, f"condition {name}")
            carried = []
            if outer is not None:
                made.effects, sources = learn_effects(*outer, z, codes, len(classes))
                names = self.conditions_[outer.name], classes
                carried = [source.told(name, outer.name, *names) for source in sources]
        before = self.history_.get(f"carried:{name}", [])
        notes = [note for note in self.history_["notes"] if note not in before]
        self.history_ |= {"notes": notes + carried, f"carried:{name}": carried}
        self.history_[f"classifier_loss:{name}"] = losses
        self.classifiers_[name], self.conditions_[name] = made, classes
        self.gene_shifts_[name] = shift
        self._codes.pop(name, None)
        if X is None:
            self._codes[name] = codes
        return self

    def _pieces(
        self, name: str, X: Any, z: NDArray[np.float32], codes: NDArray[np.int64]
    ) -> Iterator[Piece]:
        """Yield the cells of X by blocks, or those of `fit` that the codec was learnt from."""
        if X is None:
            assert self._kept is not None
            values, rows = self._kept
            used = self._weight.numpy()[rows] > 0
            values, rows = values[used], rows[used]
            others = {k: known[rows] for k, known in self._codes.items() if k != name}
            yield Piece(values, z[rows], codes[rows], others)
            return
        first = 0
        for parts in self._parts_of(X):
            last = first + len(parts.values)
            if last > len(codes):
                raise ValueError(
                    f"the blocks gave {len(codes)} cells when they were read first, and more the "
                    f"second time. They must give the same each time."
                )
            yield Piece(parts.values, z[first:last], codes[first:last])
            first = last

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the model to a folder of safetensors and JSON.

        Parameters
        ----------
        path : str or Path
            The folder; created. It holds no cells, only hashes of those of `fit`.
        overwrite : bool, default=False
            Whether a model that is there may be replaced. It stays intact until the new one is
            complete.

        Raises
        ------
        FileExistsError
            If there is something at `path` that may not be replaced.
        TypeError
            If the encoder is an object that cannot be kept without pickle.
        """
        self._require_fitted()
        storage.write(self, Path(path), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path, *, random_state: Any = None) -> Self:
        """Read a model that `save` wrote.

        Parameters
        ----------
        path : str or Path
            The folder.
        random_state : int, numpy.random.Generator or None, default=None
            Source of randomness from here on.

        Returns
        -------
        object
            Ready to sample; `add_condition` needs cells.

        Raises
        ------
        FileNotFoundError
            If there is no such folder, or a file of it is missing.
        ValueError
            If the folder is no such model, was cut off, altered, or written by a newer version.
        """
        return storage.read(cls, Path(path), random_state)
