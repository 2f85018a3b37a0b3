"""MaskClassifier: the scikit-learn classifier of face images."""

import os
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin

from maskkit import _plugins
from maskkit._images.annotated import read_labeled_faces
from maskkit._images.load import ImageSource
from maskkit._images.preprocess import Augment
from maskkit._labels import warn_of_labels
from maskkit._model.base_model import find_base
from maskkit._model.calibration import CalibrationMixin
from maskkit._model.fine_tuning import fit_every_layer
from maskkit._model.fit import fit_embedder, fit_head
from maskkit._model.head import TransferHead
from maskkit._model.params import check_params
from maskkit._model.persistence import PersistenceMixin
from maskkit._model.plan import FitPlan, announce, plan_fit
from maskkit._model.saving import check_plugins_named
from maskkit._model.scoring import ScoreMixin
from maskkit._training.history import History
from maskkit.backbones._base import Backbone, Weights
from maskkit.detectors._base import Detector


class MaskClassifier(ScoreMixin, CalibrationMixin, PersistenceMixin, ClassifierMixin, BaseEstimator):
    """Classify face images as masked or unmasked, or into any other classes.

    A scikit-learn classifier of images. A backbone pretrained on ImageNet computes features, and a head maps them to
    class probabilities. Both are trained on your images, unless the backbone stays frozen, which is faster, but usually
    less accurate on images from other sources. Training may also go on from a trained model. `fit`, `predict`,
    `predict_proba` and `score` take crops of one face each; `fit` and `score` also photos whose faces are annotated.
    `predict_faces` and `predict_photos` take photos and detect the faces first.

    Parameters
    ----------
    backbone : str or Backbone, default="resnet50"
        Network that computes the features: ``"resnet50"``, ``"efficientnet_lite0"``, ``"timm:NAME"``, the name of an
        installed plugin, or an instance.
    weights : path, {"imagenet"} or None, default="imagenet"
        Initial weights of the backbone: ImageNet weights, the path of a state dict, which may lie in the checkpoint of
        another tool, or None for random weights. Or the model to go on from, with its head, classes and input size: the
        folder of a saved model, or the name of a bundled one. Models that were loaded have themselves as `weights`. Of
        a path, only its last part is saved with the model.
    warm_start : bool, default=False
        Whether `fit` goes on from the fitted model, as after ``weights=MODEL``. Classes that mean the same, in any
        spelling, keep what was learned under their new names; others are added; classes that the labels lack stay.
    head : classifier, optional
        Any scikit-learn classifier with `predict_proba`. By default ``TransferHead()``.
    fine_tune : bool or {"auto"}, default="auto"
        Whether to train the backbone, too. ``"auto"``: unless the head is another one than a `TransferHead`. False is
        faster, and usually less accurate on images from other sources. Batch normalization keeps the means and
        variances that came with `weights`; with ``weights=None`` it learns them.
    epochs : int, optional
        Maximum number of passes over the training data. By default, when fine-tuning, 4, or as many as give 150
        optimizer steps, or 40 when going on from a trained model; otherwise that of the head.
    batch_size : int, optional
        Number of images per batch. By default that of `FaceEmbedder` for computing features, 32 for fine-tuning, and
        that of the head for training the head. If several processes train together, this is the number over all of
        them.
    gradient_accumulation_steps : int, default=1
        Number of batches per optimizer step when fine-tuning. Two batches of 16 are equivalent to one of 32 and need
        half its memory, except that with ``weights=None`` batch normalization sees only 16.
    learning_rate : float, optional
        Maximum of the one-cycle learning rate schedule. By default 3e-5 when going on from a trained model, otherwise
        3e-4 when fine-tuning, else that of the head. The new head of a pretrained backbone learns at ten times this
        rate.
    early_stopping : bool, optional
        Whether to hold out a part of the images, stop when its loss no longer decreases, and restore the best
        weights. By default False when fine-tuning, otherwise that of the head.
    validation_fraction : float, optional
        Fraction of the images held out for early stopping. By default that of the head.
    validation_data : tuple of (images, labels), or sequence of AnnotatedPhoto, optional
        Images that are not trained on, and their labels, which are classes of the training labels. The model is
        measured on them after each epoch. `early_stopping` uses them instead of holding out a part of the images.
        They are not saved with the model; those of a pickle are, so prefer paths to arrays.
    class_weight : dict, {"balanced"} or None, default=None
        Weights of the classes, as in scikit-learn. None means ``"balanced"`` when going on from a trained model, since
        the shares of the classes among a few images would shift its predictions; a dict of ones counts each image.
    augment : callable, {"auto", "device"} or None, default="auto"
        Augmentation of training images. ``"auto"``, when fine-tuning: in every epoch, images are randomly shifted,
        brightened or darkened, blurred, downscaled and compressed as JPEG, and masks and other objects are painted on
        faces. With a frozen backbone, a `TransferHead` is trained on each image and on one copy changed in this way
        but without painting; with ``early_stopping=True``, on the images alone. ``"device"``, for fine-tuning: the
        same changes are made in batches on the device of training, which relieves the CPU beside a GPU; only painting
        stays on the CPU. A callable, for fine-tuning, maps (image, rng) to an image.
    image_size : int, optional
        Side of the square input in pixels. By default 160 when fine-tuning, if the network takes it, otherwise the
        backbone's own.
    find_face : bool, default=True
        Whether `fit` and `predict` crop pictures that show much more than a face, such as a whole person, to the
        largest face.
    detector : str or Detector, default="maskkit"
        Face detector used by `predict_faces` and `predict_photos`: ``"maskkit"``, ``"centerface"``, ``"dlib_hog"``,
        ``"dlib_cnn"``, ``"yunet"``, ``"whole"``, the name of an installed plugin, or an instance.
    threshold : float, range 0 to 1, default=0
        A face in a photo is ``"uncertain"`` if the probability of its most probable class is below this.
        `choose_threshold` finds a value. `predict` ignores it.
    min_size_px : float, default=0
        Faces whose longer box side is below this are ``"uncertain"``, too.
    device : str, default="auto"
        Device that computes: ``"auto"`` (CUDA, else MPS, else CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
        The detectors ``"maskkit"`` and ``"centerface"`` use it, too, unless they have their own.
    engine : {"auto", "torch", "openvino"}, default="auto"
        Inference backend. ``"auto"``: PyTorch on a GPU, OpenVINO on a CPU (several times faster there). Training
        always uses PyTorch.
    precision : {"auto", "float32", "bfloat16", "float16", "int8"}, default="auto"
        Precision of inference and of training. ``"auto"``: bfloat16 where the hardware supports it natively, otherwise
        float32; with bfloat16, predictions near a decision are recomputed in float32.
        ``"int8"`` is for inference only: `fit` calibrates it on the training images.
    cache : path, {"memory"} or None, default="memory"
        Where the features of a frozen backbone are cached, so that each distinct image is computed once. ``"memory"``:
        the most recently used 128 MB, shared by the whole process. A path: a file, shared by processes and later runs.
    checkpoint : path, optional
        Folder where `fit` saves its state after each epoch when fine-tuning. If `fit` is interrupted, calling it again
        with the same arguments resumes, and gives the model of an uninterrupted fit, bit for bit. The checkpoint is
        removed at the end.
    random_state : int, RandomState instance or None, default=None
        Seed. Two fits with the same int on the CPU of one machine give the same model, bit for bit.
    verbose : int, default=0
        Verbosity. 0: silent; 1: progress on standard error, with the confusion matrix, precision and recall of the
        validation images.
    callbacks : callable, reporter, str or sequence of these, optional
        What is called after each epoch, with a dict: the record of `history_`, the labels of the model as ``"classes"``
        and the maximum number of epochs as ``"epochs"``. A reporter is called by its method `report_epoch`; a str is
        the name of such a reporter, like ``"tensorboard:runs/first"`` or ``"mlflow"``. A callback that raises ends the
        training, after the checkpoint was saved. A method `report_images`, if there is one, is called once before the
        first epoch, with some of the training images, uint8 (n, image_size, image_size, 3), and their labels.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels; the order of the columns of `predict_proba`.
    class_counts_ : ndarray of shape (n_classes,), int64
        Number of training images per class; zero for classes of the model that a fit went on from.
    embedder_ : FaceEmbedder
        The first stage: images to features.
    head_ : classifier
        The second stage: features to probabilities.
    detector_ : Detector
        The detector instance.
    predictor_ : FacePredictor
        The fitted object that predicts with the current parameters.
    fine_tuned_ : bool
        Whether every layer was trained, if not by this fit, then by one that it went on from.
    base_ : dict or None
        The model that the fit went on from: its name, SHA-256, classes, class_counts, history, and its own base.
    model_name_ : str
        Name of the model in results; after `load`, the name of its folder.
    history_ : list of dict
        One record per epoch with epoch, loss, accuracy and images_per_second. With `validation_data` or early stopping
        also validation_loss and validation_accuracy, weighted like loss and accuracy, and, counted without weights,
        validation_confusion (rows are true classes), validation_precision and validation_recall, each with one entry
        per class; None is undefined. Empty for a scikit-learn head. Notebooks display it as a learning curve.

    Notes
    -----
    There is no `n_features_in_`: images have no columns.

    Examples
    --------
    >>> from maskkit import MaskClassifier
    >>> from maskkit.testing import make_faces
    >>> faces, labels = make_faces(20, random_state=0)
    >>> model = MaskClassifier("efficientnet_lite0", image_size=64, fine_tune=False, random_state=0).fit(faces, labels)
    >>> model.score(faces, labels)
    1.0

    Going on from the bundled model with pictures of one's own:

    >>> own = MaskClassifier.from_pretrained().set_params(epochs=1).fit(faces, labels)
    >>> own.base_["name"]
    'maskkit-lite0'

    The exact recipe of the notebook that maskkit began as: every layer trained at 224 px on the images as they are.

    >>> model = MaskClassifier(
    ...     fine_tune=True, image_size=224, augment=None, find_face=False, epochs=2, batch_size=16
    ... )
    """

    def __init__(
        self,
        backbone: str | Backbone = "resnet50",
        *,
        weights: Weights = "imagenet",
        warm_start: bool = False,
        head: Any = None,
        fine_tune: bool | Literal["auto"] = "auto",
        epochs: int | None = None,
        batch_size: int | None = None,
        gradient_accumulation_steps: int = 1,
        learning_rate: float | None = None,
        early_stopping: bool | None = None,
        validation_fraction: float | None = None,
        validation_data: Any = None,
        class_weight: dict[Any, float] | str | None = None,
        augment: Literal["auto", "device"] | Augment | None = "auto",
        image_size: int | None = None,
        find_face: bool = True,
        detector: str | Detector = "maskkit",
        threshold: float = 0.0,
        min_size_px: float = 0.0,
        device: str = "auto",
        engine: str = "auto",
        precision: str = "auto",
        cache: str | os.PathLike[str] | None = "memory",
        checkpoint: str | os.PathLike[str] | None = None,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        callbacks: Any = None,
    ):
        self.backbone = backbone
        self.weights = weights
        self.warm_start = warm_start
        self.head = head
        self.fine_tune = fine_tune
        self.epochs = epochs
        self.batch_size = batch_size
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.learning_rate = learning_rate
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.validation_data = validation_data
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
        self.callbacks = callbacks

    def fit(self, X: Any, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Train on face crops, or on the annotated faces of photos.

        Parameters
        ----------
        X : sequence of images, or of AnnotatedPhoto
            One face per image: paths, bytes, binary files, PIL images or uint8 arrays. Or, without `y`, photos from
            `maskkit.datasets`, whose annotated faces are cropped as `evaluate` does.
        y : array-like of shape (n_images,), optional
            Labels, all str or all int, of two or more classes. Annotated photos have the labels of their faces.
        sample_weight : array-like of shape (n_images,), optional
            Non-negative weight of each image; that of an annotated photo counts for each of its faces.

        Returns
        -------
        self : MaskClassifier

        Raises
        ------
        ValueError
            If lengths differ, there is only one class, `y` is missing or superfluous, or parameters exclude each other.
        DataError
            If the box of a face lies outside its photo.
        ImageError
            If an image cannot be read; the message names it.
        WeightsError, PluginError
            If weights or plugins cannot be found or loaded.
        ModelFileError
            If the checkpoint belongs to another fit or is damaged.
        OutputError
            If another fit is writing to the folder of the checkpoint.
        """
        params = check_params(self)
        faces = read_labeled_faces(X, y, type(self).__name__)
        warn_of_labels(faces.labels.tolist(), "y")
        # Everything that can be wrong with labels and parameters raises here, before images are read and fitted
        # attributes change.
        plan = plan_fit(params, faces, sample_weight, find_base(self, params))
        announce(plan)
        check_plugins_named(self.backbone, self.detector)
        before = dict(vars(self))
        try:
            self._fit_stages(plan, faces.sources)
        except BaseException:
            # A fit that was interrupted leaves no mix of old and new parts, and loses no model that was there before.
            self.__dict__ = before
            raise
        return self

    def _fit_stages(self, plan: FitPlan, sources: Sequence[ImageSource]) -> None:
        self.detector_ = _plugins.resolve("detectors", self.detector)
        self._embedder = fit_embedder(plan, sources)
        if plan.every_layer:
            self.head_ = fit_every_layer(plan, self._embedder, sources)
        else:
            self.head_ = fit_head(plan, self._feature_extractor(), sources)
        self.fine_tuned_ = plan.every_layer or (plan.base is not None and plan.base.fine_tuned)
        self.classes_ = self.head_.classes_
        records = getattr(self.head_, "history_", [])
        best = getattr(records, "restores_best", False)
        self.history_ = History(records, self.classes_.tolist(), restores_best=best)
        self.class_counts_ = np.bincount(plan.targets.indices, minlength=len(self.classes_))
        self.base_ = None if plan.base is None else plan.base.origin
        self._finish_fit(f"{_plugins.display_name(self.backbone)} + {type(self.head_).__name__}")

    def set_params(self, **params: Any) -> Self:
        """Set parameters. ``head__hidden_units=50`` also works on ``head=None``, which means ``TransferHead()``.

        A fitted classifier follows changes of what concerns prediction: the parameters that `load` takes, and
        `find_face`. Others need a new `fit`; without it, predictions raise NotFittedError. An unknown `detector` raises
        PluginError.
        """
        if "detector" in params and hasattr(self, "model_name_"):
            _plugins.resolve("detectors", params["detector"])
        if params.get("head", self.head) is None and any(name.startswith("head__") for name in params):
            params = {**params, "head": TransferHead()}
        return super().set_params(**params)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_name_")
