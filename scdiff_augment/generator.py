"""LatentDiffusion: a codec, a denoiser in its latent, and conditions that steer it."""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import Interval, StrOptions
from tqdm.auto import tqdm

from . import diffusion
from .codec import Codec, codec_for, latent_size
from .expression import Expression, integer_fraction, put_together, take_apart
from .guidance import Condition, LatentClassifier, guide
from .mixture import class_mixture, clusters
from .networks import Denoiser, NoiseMLP
from .training import bounded_threads, training_steps
from .validation import require_labels, require_matrix

BLOCK = 4096
"""Cells that go through the sampler together."""


PARAMETERS: dict[str, list] = {
    "random_state": ["random_state", np.random.Generator],
    "expression": [StrOptions({"auto", "counts", "log1p", "real"})],
    "n_latent": [Interval(numbers.Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "sampler": [StrOptions(set(diffusion.SAMPLERS))],
    "n_steps": [Interval(numbers.Integral, 5, None, closed="left")],
    "n_timesteps": [Interval(numbers.Integral, 5, None, closed="left")],
    "width": [Interval(numbers.Integral, 2, None, closed="left")],
    "n_blocks": [Interval(numbers.Integral, 1, None, closed="left")],
    "decoder_steps": [Interval(numbers.Integral, 0, None, closed="left")],
    "denoiser_steps": [Interval(numbers.Integral, 0, None, closed="left")],
    "classifier_steps": [Interval(numbers.Integral, 0, None, closed="left")],
    "n_jobs": [numbers.Integral, None],
    "verbose": ["boolean"],
}
"""What each parameter of the model may be; the oversampler's are the same."""


class LatentDiffusion(BaseEstimator):
    """Latent diffusion model of single-cell expression, steered by condition classifiers.

    Three things are learnt one after another: a codec (expression to latent and back to
    counts), a denoiser of all cells' latents over a ladder of noise levels, and, for each
    condition, a noise-aware classifier whose gradient steers sampling. The denoiser needs no
    labels, and adding a condition changes nothing that was learnt before.

    Parameters
    ----------
    expression : {"auto", "counts", "log1p", "real"}, default="auto"
        What the matrix holds; see `scdiff_augment.expression.detect_kind`.
    n_latent : int or "auto", default="auto"
        Principal components of the latent; clamped to what the matrix allows. "auto" takes one for
        every 35 cells, 5 to 50.
    width : int, default=64
        Hidden units of the denoiser.
    n_blocks : int, default=2
        Residual blocks of the denoiser.
    decoder_steps, denoiser_steps, classifier_steps : int, default=400, 300, 0
        Training steps of each part. With ``classifier_steps=0`` a condition is the closed form
        of Gaussian classes alone.
    n_timesteps : int, default=1000
        Noise levels of the training ladder.
    sampler : {"dpm++", "ddim", "ddpm"}, default="dpm++"
        How noise becomes cells. "ddpm" wants ``n_steps=n_timesteps``.
    n_steps : int, default=20
        Noise levels that the sampler visits.
    random_state : int, numpy.random.RandomState, numpy.random.Generator or None, default=None
        Source of all randomness; global generators are never touched.
    n_jobs : int, default=None
        Threads for torch and BLAS while this model works; None means 1, -1 all cores.
    verbose : bool, default=False
        Show progress.

    Attributes
    ----------
    history_ : dict
        "decoder_loss", "denoiser_loss", "classifier_loss:<name>": a loss for each training
        step; "n_latent": components in use; "notes": what was adapted to the data.
    conditions_ : dict
        Name of each condition to the array of its classes.
    n_features_in_ : int
        Number of genes.

    References
    ----------
    Luo et al. 2024, scDiffusion: conditional generation of high-quality single-cell data using
    diffusion model, Bioinformatics 40(9), btae518.

    Examples
    --------
    >>> import numpy as np
    >>> from scdiff_augment import LatentDiffusion
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat(["a", "b"], 50)
    >>> X = rng.poisson(np.where(labels == "a", 1.0, 4.0)[:, None], (100, 30))
    >>> model = LatentDiffusion(denoiser_steps=50, decoder_steps=50, random_state=0).fit(X)
    >>> model.add_condition("type", labels).sample({"type": "a"}, n=5).shape
    (5, 30)
    """

    _parameter_constraints: ClassVar[dict] = PARAMETERS

    def __init__(
        self,
        *,
        expression: str = "auto",
        n_latent: int | str = "auto",
        width: int = 64,
        n_blocks: int = 2,
        decoder_steps: int = 400,
        denoiser_steps: int = 300,
        classifier_steps: int = 0,
        n_timesteps: int = 1000,
        sampler: str = "dpm++",
        n_steps: int = 20,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ):
        self.expression = expression
        self.n_latent = n_latent
        self.width = width
        self.n_blocks = n_blocks
        self.decoder_steps = decoder_steps
        self.denoiser_steps = denoiser_steps
        self.classifier_steps = classifier_steps
        self.n_timesteps = n_timesteps
        self.sampler = sampler
        self.n_steps = n_steps
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self,
        X: ArrayLike,
        *,
        groups: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> LatentDiffusion:
        """Learn the codec and the denoiser from real cells.

        Parameters
        ----------
        X : array-like of shape (n_cells, n_genes)
            Dense, finite, at least 2 cells; counts, log1p of normalised counts, or real values.
        groups : array-like of shape (n_cells,), optional
            Labels that shape the denoiser's starting point, a mixture with one Gaussian per
            group; k-means clusters of the latents by default.
        sample_weight : array-like of shape (n_cells,), optional
            How often a cell is drawn in training, relative to others; raise it for rare types.

        Returns
        -------
        LatentDiffusion
            The model itself.

        Raises
        ------
        ValueError
            If X is not such a matrix, contradicts `expression`, or has another length than
            `groups` or `sample_weight`.
        """
        self._validate_params()
        X = np.asarray(X)
        require_matrix(X)
        for name, values in {"groups": groups, "sample_weight": sample_weight}.items():
            if values is not None and np.shape(values) != (len(X),):
                raise ValueError(
                    f"`{name}` needs one value for each of the {len(X)} cells, got shape "
                    f"{np.shape(values)}."
                )
        weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, float)
        if not (np.isfinite(weight).all() and weight.min() >= 0 and weight.sum() > 0):
            raise ValueError(
                f"`sample_weight` must be finite, not negative and not all 0; it runs from "
                f"{weight.min():g} to {weight.max():g}."
            )
        self._rng, self._torch = generators(self.random_state)
        parts = take_apart(X, self.expression)
        self.n_features_in_ = parts.values.shape[1]
        self.conditions_: dict[str, NDArray] = {}
        self.classifiers_: dict[str, LatentClassifier] = {}
        self.history_: dict[str, Any] = {"notes": []}
        with bounded_threads(self.n_jobs):
            self.codec_ = self._fit_codec(parts)
            self._z = torch.from_numpy(self.codec_.encode(parts))
            self._weight = torch.from_numpy(weight / weight.sum()).float()
            self._sigma_max = 10 * float(self._z.std(dim=0).max())
            self.ladder_ = diffusion.ddpm_sigmas(self.n_timesteps)
            self._levels = diffusion.timestep_weights(self.ladder_)
            if groups is None:
                codes = clusters(self._z, self._torch)
            else:
                codes = torch.from_numpy(np.unique(np.asarray(groups), return_inverse=True)[1])
            self.denoiser_ = self._fit_denoiser(codes)
        self._kind, self._total = parts.kind, parts.total
        return self

    def add_condition(self, name: str, labels: ArrayLike) -> LatentDiffusion:
        """Learn to steer towards the classes of one more annotation.

        Parameters
        ----------
        name : str
            What `sample` will call it, for example "cell_type".
        labels : array-like of shape (n_cells,)
            Class of each cell that `fit` saw, in the same order.

        Returns
        -------
        LatentDiffusion
            The model itself; codec and denoiser are unchanged.
        """
        self._require_fitted()
        require_labels(labels)
        classes, codes = np.unique(np.asarray(labels), return_inverse=True)
        if len(codes) != len(self._z):
            raise ValueError(
                f"condition '{name}' needs one label per fitted cell ({len(self._z)}), got "
                f"{len(codes)}. Pass the labels of the cells given to `fit`, in their order."
            )
        with bounded_threads(self.n_jobs):
            classifier = self._fit_classifier(name, torch.from_numpy(codes), len(classes))
        self.classifiers_[name] = classifier
        self.conditions_[name] = classes
        return self

    def sample(
        self,
        conditions: Mapping[str, Any] | None = None,
        n: int | None = None,
        *,
        guidance_scale: float = 1.0,
    ) -> NDArray[np.float32]:
        """Draw new cells.

        Parameters
        ----------
        conditions : mapping of name to class, or to n classes, optional
            What the cells shall be; several conditions act together. Without any, cells come
            in the proportions of training.
        n : int, optional
            How many cells; may be left out where a condition lists a class for each cell.
        guidance_scale : float, default=1.0
            Weight of the conditions' gradients.

        Returns
        -------
        ndarray of shape (n, n_genes), float32
            On the scale of the matrix that `fit` saw: counts, log1p values or real values.

        Raises
        ------
        ValueError
            If a condition or class is unknown; the message lists the known ones.
        """
        self._require_fitted()
        targets, n_cells = self._targets(conditions or {}, n)
        blocks = [np.empty((0, self.n_features_in_), dtype=np.float32)]
        starts = range(0, n_cells, BLOCK)
        with bounded_threads(self.n_jobs):
            for start in tqdm(starts, desc="sampling", disable=not self.verbose):
                block = {name: t[start : start + BLOCK] for name, t in targets.items()}
                z = self._sample_latent(block, min(BLOCK, n_cells - start), guidance_scale)
                values, factor = self.codec_.decode(z.numpy(), self._rng)
                blocks.append(put_together(values, self._kind, total=self._total, factor=factor))
        return np.concatenate(blocks)

    def _fit_codec(self, parts: Expression) -> Codec:
        codec = codec_for(parts, self.n_latent, n_steps=self.decoder_steps)
        steps = codec.fit(parts, self._torch)
        self.history_["decoder_loss"] = self._watch(steps, self.decoder_steps, "decoder")
        n_latent = int(codec.encoder_.n_components_)
        self.history_["expression"] = parts.kind
        if parts.kind == "real" and self.expression == "auto" and parts.values.min() >= 0:
            self.history_["notes"].append(
                f"modelled as real values: the matrix is not negative, but only "
                f"{integer_fraction(parts.values):.1%} of its entries lead back to counts by expm1"
            )
        self.history_["n_latent"] = n_latent
        asked = latent_size(self.n_latent, len(parts.values))
        if n_latent < asked:
            self.history_["notes"].append(
                f"n_latent lowered from {asked} to {n_latent}: the matrix has "
                f"{parts.values.shape[0]} cells and {parts.values.shape[1]} features"
            )
        return codec

    def _fit_denoiser(self, codes: torch.Tensor) -> Denoiser:
        z = self._z
        mixture = class_mixture(z, codes, int(codes.max()) + 1, self._weight)
        scale = (z - mixture.means[codes]).std(dim=0).clamp(min=1e-3)
        n_latent = z.shape[1]
        network = NoiseMLP(n_latent, n_latent, self.width, self.n_blocks, self._torch)
        denoiser = Denoiser(mixture, scale, network)

        def loss(model: torch.nn.Module) -> torch.Tensor:
            rows, sigma, noise = self._noisy_batch(256)
            return diffusion.denoising_loss(model, z[rows], sigma, noise, scale).mean()

        steps = training_steps(
            denoiser,
            loss,
            n_steps=self.denoiser_steps,
            learning_rate=4e-3,
            weight_decay=1e-2,
            ema_decay=0.995,
        )
        self.history_["denoiser_loss"] = self._watch(steps, self.denoiser_steps, "denoiser")
        return denoiser.eval()

    def _fit_classifier(self, name: str, codes: torch.Tensor, n_classes: int) -> LatentClassifier:
        z, weight = self._z, self._weight
        network = None
        if self.classifier_steps:
            network = NoiseMLP(z.shape[1], n_classes, self.width, 2, self._torch)
        classifier = LatentClassifier(class_mixture(z, codes, n_classes, weight), network)

        def loss(model: torch.nn.Module) -> torch.Tensor:
            rows, sigma, noise = self._noisy_batch(256)
            log_probability = model(z[rows] + sigma[:, None] * noise, sigma)
            return torch.nn.functional.nll_loss(log_probability, codes[rows])

        steps = training_steps(
            classifier,
            loss,
            n_steps=self.classifier_steps,
            learning_rate=1e-3,
            weight_decay=1e-2,
        )
        key = f"classifier_loss:{name}"
        self.history_[key] = self._watch(steps, self.classifier_steps, f"condition {name}")
        return classifier.eval()

    def _noisy_batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Cells by weight, noise levels of the ladder, and noise."""
        rows = torch.multinomial(self._weight, size, True, generator=self._torch)
        sigma = self.ladder_[torch.multinomial(self._levels, size, True, generator=self._torch)]
        return rows, sigma, torch.randn(size, self._z.shape[1], generator=self._torch)

    def _sample_latent(
        self, targets: Mapping[str, torch.Tensor], n_cells: int, guidance_scale: float
    ) -> torch.Tensor:
        conditions = [
            Condition(self.classifiers_[name], target, guidance_scale)
            for name, target in targets.items()
        ]
        highest = None if self.n_steps >= self.n_timesteps else self._sigma_max
        sigmas = diffusion.select_sigmas(self.ladder_, self.n_steps, highest)
        noise = torch.randn(n_cells, self._z.shape[1], generator=self._torch)
        with torch.no_grad():
            model = guide(self.denoiser_, conditions)
            # From noise alone the denoiser answers with the mean, where the noisy cells lie.
            start = model(torch.zeros_like(noise), sigmas[0].expand(n_cells)) + sigmas[0] * noise
            return diffusion.SAMPLERS[self.sampler](model, start, sigmas, self._torch)

    def _targets(
        self, conditions: Mapping[str, Any], n: int | None
    ) -> tuple[dict[str, torch.Tensor], int]:
        """Class codes per condition, and the number of cells."""
        wanted = {name: np.atleast_1d(value) for name, value in conditions.items()}
        lengths = {len(value) for value in wanted.values()} - {1}
        if n is None:
            n = lengths.pop() if len(lengths) == 1 else 1
        targets = {}
        for name, value in wanted.items():
            if name not in self.conditions_:
                raise ValueError(
                    f"condition '{name}' is unknown; known are {list(self.conditions_)}. "
                    f"Learn it with add_condition('{name}', labels)."
                )
            if len(value) not in (1, n):
                raise ValueError(
                    f"condition '{name}' lists {len(value)} classes for n={n} cells; give one "
                    f"class, or one for each cell."
                )
            codes = _codes(name, value, self.conditions_[name])
            targets[name] = torch.from_numpy(np.broadcast_to(codes, n).copy())
        return targets, n

    def _watch(self, steps: Iterator[float], n_steps: int, what: str) -> list[float]:
        return list(tqdm(steps, total=n_steps, desc=what, disable=not self.verbose))

    def _require_fitted(self) -> None:
        if not hasattr(self, "denoiser_"):
            raise NotFittedError("this LatentDiffusion is not fitted yet; call `fit` first.")


def generators(random_state: Any) -> tuple[np.random.Generator, torch.Generator]:
    """One NumPy and one torch generator from whatever scikit-learn takes as random_state."""
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**31 - 1)
    rng = np.random.default_rng(random_state)
    return rng, torch.Generator().manual_seed(int(rng.integers(2**31)))


def _codes(name: str, labels: Sequence[Any] | NDArray, classes: NDArray) -> NDArray[np.int64]:
    positions = {label: code for code, label in enumerate(classes.tolist())}
    unknown = [label for label in np.asarray(labels).tolist() if label not in positions]
    if unknown:
        raise ValueError(
            f"condition '{name}' has no class {unknown[0]!r}; its classes are {classes.tolist()}."
        )
    return np.array([positions[label] for label in np.asarray(labels).tolist()], dtype=np.int64)
