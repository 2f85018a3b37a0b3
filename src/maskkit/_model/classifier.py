"""MaskClassifier: the only file that knows the whole flow and scikit-learn's contract."""

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from maskkit import _plugins
from maskkit._files.pretrained import find_pretrained
from maskkit._images.load import ImageSource, check_images, check_not_single, iterate_images
from maskkit._images.preprocess import Augment
from maskkit._labels import index_labels
from maskkit._model import saving as _storage
from maskkit._model.decision import DecisionRule, choose_threshold, fit_temperature
from maskkit._model.embedder import Embedded, make_embedder
from maskkit._model.fitting import choose_seed, choose_size, fit_every_layer, fit_head, make_head, trains_every_layer
from maskkit._model.head import TransferHead
from maskkit._model.params import check_params
from maskkit._model.photos import PhotoReader
from maskkit._model.results import PhotoResult
from maskkit._training.history import History
from maskkit._training.targets import check_labels, encode_labels, merge_weights
from maskkit.backbones._base import Backbone, Weights
from maskkit.detectors._base import Detector

# In bfloat16 no label changed on 2,021 faces of photos where the two likeliest classes were further apart
# than 0.23; 3 % of these faces were closer than this, and are computed again: docs/measurements.md.
CLOSE = 0.3


class MaskClassifier(ClassifierMixin, BaseEstimator):
    """Tells whether the person in a picture wears a face mask; a scikit-learn classifier of images.

    A backbone pretrained on ImageNet turns each image into features, and a head trained on yours
    turns these into probabilities. With a thousand images or more the backbone is trained too, which
    is what makes a model right on other data; with fewer it stays frozen. `fit`, `predict`,
    `predict_proba` and `score` take crops, one face an image; `predict_faces` and `predict_photos`
    find the faces first.

    Parameters
    ----------
    backbone : str or Backbone, default="resnet50"
        ``"resnet50"``, ``"efficientnet_lite0"``, ``"timm:NAME"``, any installed plugin or an instance.
    weights : path, {"imagenet"} or None, default="imagenet"
        What the backbone starts from; a path leads to a state dict, None gives random values.
    head : classifier, optional
        Any scikit-learn classifier with `predict_proba`; by default ``TransferHead()``.
    fine_tune : bool or {"auto"}, default="auto"
        Train the backbone too; needs a `TransferHead`. ``"auto"`` does so with 1,000 images or more. Batch
        normalisation keeps the means and variances that came with `weights`; without any it learns them.
    epochs : int, optional
        Passes over the training data, at most. By default what the head says, 4 when fine-tuning.
    batch_size : int, optional
        Images computed at once. By default 32 for features and what the head says for training, 32
        when fine-tuning, where several processes share each batch.
    gradient_accumulation_steps : int, default=1
        When fine-tuning, batches that make one step of the optimiser: 2 of 16 images learn what one of
        32 would and need half its memory, except that without `weights` batch normalisation sees 16.
    learning_rate : float, optional
        The highest of the one-cycle schedule. By default what the head says, 3e-4 when fine-tuning;
        there the head of a pretrained backbone has ten times the rate.
    early_stopping : bool, optional
        Hold out a part, stop when its loss no longer falls, and go back to the best weights. By
        default what the head says; not when fine-tuning.
    validation_fraction : float, optional
        The part held out for early stopping. By default what the head says.
    class_weight : dict, {"balanced"} or None, default=None
        As in scikit-learn.
    augment : callable, {"auto"} or None, default="auto"
        How training images are varied: ``"auto"`` moves, relights, blurs, shrinks and compresses them,
        and paints on faces, anew in each epoch. With a frozen backbone a `TransferHead` sees one
        such copy of each image beside it, without painting, unless it stops early. A callable, for
        fine-tuning, takes (image, rng) and gives an image.
    image_size : int, optional
        Side of the square that images are resized to, in pixels; by default the backbone's own, 160
        when fine-tuning.
    find_face : bool, default=True
        In `fit` and `predict`, cut the largest face out of pictures that show much more than a face,
        such as a whole person.
    detector : str or Detector, default="centerface"
        Of `predict_faces` and `predict_photos`:
        ``"centerface"``, ``"dlib_hog"``, ``"dlib_cnn"``, ``"yunet"``, ``"whole"``, any installed
        plugin or an instance.
    threshold : float, range 0 to 1, default=0
        Faces of photos whose most probable class has a lower probability are ``"uncertain"``;
        `choose_threshold` finds one.
    min_size_px : float, default=0
        So are faces whose box's longer side is shorter.
    device : str, default="auto"
        ``"auto"`` (CUDA, else MPS, else CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    engine : {"auto", "torch", "openvino"}, default="auto"
        Who computes: ``"auto"`` is torch on a GPU, else OpenVINO, several times as fast on a CPU. torch
        trains.
    precision : {"auto", "float32", "bfloat16", "float16", "int8"}, default="auto"
        Of matrix products. ``"auto"`` is bfloat16 where the hardware has it, with what is close to call
        judged again in float32; else float32. For ``"int8"``, `fit` calibrates on the training images.
    cache : path, {"memory"} or None, default="memory"
        Where the backbone's features are kept, so that it computes each distinct image once: in memory,
        the last 128 MB of them, shared by the whole process; or in a file, shared by processes and runs.
    checkpoint : path, optional
        When fine-tuning, a folder where `fit` keeps its state after each epoch. If it is interrupted,
        the same `fit` goes on there and ends with the same model, bit for bit; then it is removed.
    random_state : int, RandomState instance or None, default=None
        Two fits with the same int on one machine give the same model, bit for bit.
    verbose : int, default=0
        1 shows progress on standard error.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels; the order of the columns of `predict_proba`.
    class_counts_ : ndarray of shape (n_classes,), int64
        Training images of each class.
    embedder_ : FaceEmbedder
    head_ : classifier
    detector_ : Detector
    fine_tuned_ : bool
        Whether every layer was trained.
    model_name_ : str
        What results call the model; a loaded one is called as its folder.
    history_ : list of dict
        A record an epoch: epoch, loss, accuracy, images_per_second, and validation_loss and
        validation_accuracy with early stopping. Empty for a scikit-learn head. A notebook shows it as a
        learning curve.

    Notes
    -----
    There is no `n_features_in_`: images have no columns.

    Examples
    --------
    >>> from maskkit import MaskClassifier
    >>> from maskkit.testing import make_faces
    >>> faces, labels = make_faces(20, random_state=0)
    >>> model = MaskClassifier("efficientnet_lite0", image_size=64, random_state=0).fit(faces, labels)
    >>> model.score(faces, labels)
    1.0
    """

    def __init__(
        self,
        backbone: str | Backbone = "resnet50",
        *,
        weights: Weights = "imagenet",
        head: Any = None,
        fine_tune: bool | Literal["auto"] = "auto",
        epochs: int | None = None,
        batch_size: int | None = None,
        gradient_accumulation_steps: int = 1,
        learning_rate: float | None = None,
        early_stopping: bool | None = None,
        validation_fraction: float | None = None,
        class_weight: dict[Any, float] | str | None = None,
        augment: Literal["auto"] | Augment | None = "auto",
        image_size: int | None = None,
        find_face: bool = True,
        detector: str | Detector = "centerface",
        threshold: float = 0.0,
        min_size_px: float = 0.0,
        device: str = "auto",
        engine: str = "auto",
        precision: str = "auto",
        cache: str | os.PathLike[str] | None = "memory",
        checkpoint: str | os.PathLike[str] | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ):
        self.backbone = backbone
        self.weights = weights
        self.head = head
        self.fine_tune = fine_tune
        self.epochs = epochs
        self.batch_size = batch_size
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.class_weight = class_weight
        self.augment = augment
        self.image_size = image_size
        self.find_face = find_face
        self.detector = detector
        self.threshold = threshold
        self.min_size_px = min_size_px
        self.device = device
        self.engine = engine
        self.precision = precision
        self.cache = cache
        self.checkpoint = checkpoint
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on face crops.

        Parameters
        ----------
        X : sequence of images
            One face an image: paths, bytes, binary files, PIL images or uint8 arrays.
        y : array-like of shape (n_images,)
            Labels, all str or all int, of two or more classes.
        sample_weight : array-like of shape (n_images,), optional
            Non-negative; how much each image counts.

        Returns
        -------
        self : MaskClassifier

        Raises
        ------
        ValueError
            If lengths disagree, there is only one class, or parameters exclude each other.
        ImageError
            If an image cannot be read; the message names it.
        WeightsError, PluginError
            If weights or plugins cannot be had.
        ModelFileError
            If the checkpoint belongs to another fit or is damaged.
        """
        check_params(self)
        sources = check_images(X)
        y = check_labels(y)
        if len(y) != len(sources):
            raise ValueError(f"X has {len(sources)} images and y {len(y)} labels; want one label an image.")
        # Whatever can be wrong is told before the images are read, and no half of a fit is left behind.
        encode_labels(y)
        merge_weights(self.class_weight, y, sample_weight)
        self.__dict__.pop("model_name_", None)
        every_layer = trains_every_layer(self, len(sources))
        seed = choose_seed(self, every_layer=every_layer)
        head = make_head(self, seed, every_layer=every_layer)
        self.detector_ = _plugins.resolve("detectors", self.detector)
        self.embedder_ = make_embedder(choose_size(self, every_layer=every_layer), seed).fit(sources)
        fit = fit_every_layer if every_layer else fit_head
        self.head_ = fit(self, head, sources, y, sample_weight, seed)
        self.fine_tuned_ = every_layer
        self.classes_ = self.head_.classes_
        self.history_ = History(getattr(self.head_, "history_", []))
        self.class_counts_ = np.unique(y, return_counts=True)[1]
        self.model_name_ = f"{_name(self.backbone)} + {type(self.head_).__name__}"
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Tell the probability of each class for face crops.

        Parameters
        ----------
        X : sequence of images
            One face an image.

        Returns
        -------
        proba : ndarray of shape (n_images, n_classes), float64
            Rows sum to 1; columns in the order of `classes_`.
        """
        check_is_fitted(self)
        return self._classify(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Name the most probable class of face crops, (n_images,)."""
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(axis=1)]

    def predict_faces(self, photo: ImageSource) -> PhotoResult:
        """Find the faces of one photo and classify each.

        Parameters
        ----------
        photo : image
            With any number of faces.

        Returns
        -------
        result : PhotoResult
            Its faces, largest first; empty if there is none.

        Raises
        ------
        ImageError
            If the photo cannot be read.
        """
        check_is_fitted(self)
        return self._photo_reader().read_one(photo)

    def predict_photos(
        self, photos: Iterable[ImageSource], *, on_error: Literal["report", "skip", "raise"] = "report"
    ) -> Iterator[PhotoResult]:
        """Find and classify the faces of many photos, a stream to a stream.

        Faces of several photos share a batch, and memory is that of a few photos however many come.

        Parameters
        ----------
        photos : iterable of images
            A generator will do; it may be endless.
        on_error : {"report", "skip", "raise"}, default="report"
            What a photo that cannot be read gives: a result with the status ``"unreadable"``; none, but a
            `SkippedImageWarning` that names it; or an `ImageError`.

        Yields
        ------
        result : PhotoResult
            One a photo, in order.
        """
        check_is_fitted(self)
        if on_error not in ("report", "skip", "raise"):
            raise ValueError(f"on_error={on_error!r} is unknown; use 'report', 'skip' or 'raise'.")
        check_not_single(photos)
        return self._photo_reader().read(photos, on_error=on_error)

    def calibrate(self, X: Any, y: ArrayLike) -> Self:
        """Make probabilities true: 0.9 is to be right nine times in ten, on faces like these.

        Divides the logits by a temperature (Guo et al. 2017, arXiv:1706.04599), which changes no label,
        but for faces so close to call that they are now judged in float32. The temperature is at most 5 and at
        least 0.2.

        Parameters
        ----------
        X : sequence of images
            One face an image, none of them trained on; some hundred.
        y : array-like of shape (n_images,)

        Returns
        -------
        self : MaskClassifier

        Raises
        ------
        ValueError
            If the head is not a `TransferHead`, or a label is unknown.
        """
        check_is_fitted(self)
        if not isinstance(self.head_, TransferHead):
            raise ValueError(
                f"calibrate works on a TransferHead, not {type(self.head_).__name__}; "
                f"give scikit-learn's CalibratedClassifierCV as the head."
            )
        proba, targets = self._judge(X, y)
        self.head_.divide_logits(fit_temperature(proba, targets))
        return self

    def quantize(self, X: Any) -> Self:
        """Make the backbone in int8, for ``precision="int8"``; `save` keeps it.

        Post-training quantisation by NNCF; faster again, and less exact: see what it costs with
        ``nox -s bench``. `fit` does it by itself if `precision` is ``"int8"``.

        Parameters
        ----------
        X : sequence of images
            Like those to be predicted; 300 of them, evenly spread, are looked at.

        Returns
        -------
        self : MaskClassifier

        Raises
        ------
        EngineError
            If NNCF is not installed, or OpenVINO cannot run the network.
        """
        check_is_fitted(self)
        self.embedder_.quantize(X)
        return self

    def choose_threshold(
        self, X: Any, y: ArrayLike, *, precision: float | None = None, uncertain_cost: float | None = None
    ) -> float:
        """Find the `threshold` that keeps a promise, from faces that the model was not trained on.

        Parameters
        ----------
        X : sequence of images
        y : array-like of shape (n_images,)
        precision : float, range 0 to 1
            The wanted share of right answers among those given.
        uncertain_cost : float, range 0 to 1
            What no answer costs, where a wrong one costs 1. Give this or `precision`.

        Returns
        -------
        threshold : float
            For the parameter of that name: ``clf.set_params(threshold=...)``.

        Raises
        ------
        ValueError
            If no threshold reaches the precision.
        """
        proba, targets = self._judge(X, y)
        right = proba.argmax(axis=1) == targets
        return choose_threshold(proba.max(axis=1), right, precision=precision, uncertain_cost=uncertain_cost)

    def save(self, folder: str | os.PathLike[str], *, half: bool = False) -> Path:
        """Write the fitted model: a folder of safetensors and JSON with a model card.

        Parameters
        ----------
        folder : path
            Made, or replaced if it is a saved model.
        half : bool, default=False
            Store weights as float16.

        Returns
        -------
        folder : Path

        Raises
        ------
        ModelFileError
            If the folder is something else, or the head is not a `TransferHead` (no file format but
            pickle holds any scikit-learn classifier, and pickles run code).
        """
        check_is_fitted(self)
        return _storage.save(self, folder, half=half)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], **params: Any) -> Self:
        """Read a model that `save` wrote.

        Parameters
        ----------
        folder : path
        **params : object
            Constructor parameters that matter to prediction, such as `detector` or `device`, instead
            of those saved.

        Raises
        ------
        ModelFileError
            If a file is missing or damaged.
        """
        return _storage.load(cls, folder, **params)

    @classmethod
    def from_pretrained(cls, name: str = "maskkit-lite0", **params: Any) -> Self:
        """Load a model that ships with the package; uses no network.

        Parameters
        ----------
        name : str, default="maskkit-lite0"
        **params : object
            As in `load`.
        """
        return cls.load(find_pretrained(name), **params)

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``head__hidden_units=50`` works on ``head=None`` too, which means ``TransferHead()``."""
        if params.get("head", self.head) is None and any(name.startswith("head__") for name in params):
            params = {**params, "head": TransferHead()}
        return super().set_params(**params)

    def _judge(self, X: Any, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Give probabilities and true classes of the faces that the classifier has a class for."""
        check_is_fitted(self)
        targets = index_labels(y, self.classes_.tolist())
        return self.predict_proba(X)[targets >= 0], targets[targets >= 0]

    def _photo_reader(self) -> PhotoReader:
        return PhotoReader(
            self.detector_,
            partial(self._classify, are_crops=True),
            self.classes_,
            rule=DecisionRule(self.threshold, self.min_size_px),
            model=self.model_name_,
            detector_name=_name(self.detector),
        )

    def _classify(self, X: Any, *, are_crops: bool = False) -> NDArray[np.float64]:
        """Tell the probabilities; what is close is judged again on exact features."""
        rows = []
        for batch in self._embed(X, are_crops=are_crops):
            proba = self.head_.predict_proba(batch.features)
            first, second = np.sort(proba, axis=1)[:, -1:-3:-1].T
            close = np.flatnonzero(first - second < CLOSE)
            if batch.refine is not None and len(close):
                proba[close] = self.head_.predict_proba(batch.refine(close.tolist()))
            rows.append(proba)
        if not rows:
            raise ValueError("X is empty; want at least one image.")
        return np.concatenate(rows)

    def _embed(self, X: Any, *, are_crops: bool = False, with_copies: bool = False) -> Iterator[Embedded]:
        """Compute features: the one seam, which tests may replace."""
        # A fitted model may be moved to another device.
        moved = {name: getattr(self, name) for name in ("device", "engine", "precision", "cache")}
        if self.batch_size is not None:
            moved["batch_size"] = self.batch_size
        return self.embedder_.set_params(**moved).embed(iterate_images(X), are_crops=are_crops, with_copies=with_copies)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_name_")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def _name(plugin: Any) -> str:
    return plugin if isinstance(plugin, str) else type(plugin).__name__
