"""TransferHead: features to class probabilities."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from maskkit._model.params import FitRecord, check_params
from maskkit._model.scoring import ScoreMixin
from maskkit._training.history import History
from maskkit._training.targets import Targets, split_rows
from maskkit._training.trainer import Batch, Batches, Trainer, TrainerOptions, make_adamw
from maskkit.engines._devices import one_thread, resolve_device, seeded

# Thirty epochs at half the learning rate are not more accurate, neither on 500 faces nor on faces in photos.
_EPOCHS = 10
_MIN_STEPS = 40

# Parameters that change no prediction of a fitted head.
_HEEDED = ("device", "verbose")


class TransferHead(ScoreMixin, ClassifierMixin, BaseEstimator):
    """The head of a transfer network: Dropout, Linear, Dropout, Linear, softmax.

    A scikit-learn classifier for tables of features. It can be used on its own. Features are standardized during
    training, and the scaling is then folded into the first linear layer. So the network has only the layers above,
    and trains well whatever the scale of its inputs.

    Parameters
    ----------
    hidden_units : int, default=300
        Width of the first linear layer.
    dropout : float, range 0 to 1, default=0.2
        Fraction of inputs and hidden units that is dropped during training.
    epochs : int, optional
        Maximum number of passes over the training data. By default 10, or as many as give 40 steps.
    batch_size : int, default=128
        Number of samples per batch.
    learning_rate : float, default=0.002
        Maximum of the one-cycle learning rate schedule of AdamW.
    weight_decay : float, default=0.1
        Decoupled weight decay of AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101).
    class_weight : dict, {"balanced"} or None, default=None
        Weights of the classes, as in scikit-learn.
    early_stopping : bool, default=False
        Whether to hold out a part of the samples, stop when its loss no longer decreases, and restore the best weights.
    validation_fraction : float, default=0.1
        Fraction of the samples held out for early stopping, stratified by class.
    patience : int, default=5
        Number of epochs without a lower validation loss before training stops.
    device : str, default="auto"
        Device that trains: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights, dropout, order and held-out samples.
    verbose : int, default=0
        Whether to show progress on standard error.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels; the order of the columns of `predict_proba`.
    n_features_in_ : int
        Number of features.
    network_ : torch.nn.Sequential
        Maps float32 (n, n_features) to logits (n, n_classes).
    history_ : list of dict
        One record per epoch with epoch, loss, accuracy and images_per_second, and with early stopping also the
        validation_loss, validation_accuracy, validation_confusion, validation_precision and validation_recall that
        `MaskClassifier` describes.

    Examples
    --------
    >>> import numpy as np
    >>> from maskkit import TransferHead
    >>> features = np.array([[0.0, 1.0], [0.1, 0.9], [1.0, 0.0], [0.9, 0.2]] * 10)
    >>> labels = ["unmasked", "unmasked", "masked", "masked"] * 10
    >>> head = TransferHead(random_state=0).fit(features, labels)
    >>> head.predict([[0.0, 1.0], [1.0, 0.1]]).tolist()
    ['unmasked', 'masked']
    """

    def __init__(
        self,
        hidden_units: int = 300,
        dropout: float = 0.2,
        *,
        epochs: int | None = None,
        batch_size: int = 128,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.1,
        class_weight: dict[Any, float] | str | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 5,
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
    ):
        self.hidden_units = hidden_units
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on a table of features.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Labels of two or more classes.
        sample_weight : array-like of shape (n_samples,), optional
            Non-negative weight of each row.

        Returns
        -------
        self : TransferHead

        Raises
        ------
        ValueError
            If shapes differ, values are not finite, or there is only one class.
        """
        features, labels = validate_data(self, X, y, dtype=np.float32)
        params = check_params(self)
        targets = Targets.encode(labels, params["class_weight"], sample_weight)
        if params["early_stopping"]:
            split_rows(targets, params["validation_fraction"], seed=0)  # raises if there are too few rows
        return self._fit_targets(features, targets)

    def _fit_targets(
        self,
        features: NDArray[np.float32],
        targets: Targets,
        n_validation: int = 0,
        callbacks: Sequence[Any] = (),
        start: Mapping[str, torch.Tensor] | None = None,
    ) -> Self:
        """Train on encoded targets, from the weights `start` if given; the last rows are for validation only."""
        seed = self._build_network(features.shape[1], targets, start)
        device = resolve_device(self.device)
        try:
            self.network_.to(device)
            with seeded(seed, device), one_thread():
                self.history_ = self._train(features, targets, seed, n_validation, callbacks, goes_on=start is not None)
        finally:
            self.network_.cpu()
        return self

    def _build_network(self, n_features: int, targets: Targets, start: Mapping[str, torch.Tensor] | None = None) -> int:
        """Build the layers, untrained or with the weights `start`; return the seed of the training."""
        seed = int(check_random_state(check_params(self)["random_state"]).randint(2**31 - 1))
        self.__dict__.pop("history_", None)  # The head is not fitted until its layers are trained.
        self._remember_params()
        self.n_features_in_ = n_features
        self.classes_ = targets.classes
        with seeded(seed):
            self.network_ = self._build(n_features, len(self.classes_))
        if start is not None:
            self.network_.load_state_dict(start)
        return seed

    def _remember_params(self) -> None:
        self._fit_record = FitRecord(self, _HEEDED)

    def _build(self, n_features: int, n_classes: int) -> nn.Sequential:
        """Build the layers, float32 (n, n_features) to logits (n, n_classes).

        The last layer starts at zero. Training then starts from equal probabilities, and the first gradients that
        reach a pretrained backbone are small.
        """
        params = check_params(self)
        hidden = nn.Linear(int(n_features), params["hidden_units"])
        last = nn.Linear(params["hidden_units"], n_classes)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        return nn.Sequential(nn.Dropout(params["dropout"]), hidden, nn.Dropout(params["dropout"]), last)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "history_")

    def _scale_logits(self, factor: float) -> None:
        """Multiply the logits of a trained head by a factor, folded into the last layer."""
        with torch.no_grad():
            for parameter in self.network_[-1].parameters():
                parameter.mul_(factor)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Predict class probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes), float64
            Rows sum to 1; columns in the order of `classes_`.
        """
        check_is_fitted(self)
        self._fit_record.check_unchanged(self)
        return self._freeze()(validate_data(self, X, dtype=np.float32, reset=False))

    def _freeze(self) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
        """Return `predict_proba` with the present weights, without checks."""
        with torch.inference_mode():
            # Without dropout, two linear layers are one. In float64, the result of a row does not depend on its batch.
            first, first_bias, last, last_bias = (values.double() for values in self.network_.parameters())
            return partial(_predict_linear, (last @ first).T.numpy(), (last @ first_bias + last_bias).numpy())

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the class of each row, (n_samples,)."""
        proba = self.predict_proba(X)  # Raises NotFittedError where there are no classes yet.
        return self.classes_[proba.argmax(axis=1)]

    def _train(
        self,
        X: NDArray[np.float32],
        targets: Targets,
        seed: int,
        n_validation: int,
        callbacks: Sequence[Any],
        *,
        goes_on: bool,
    ) -> History:
        params, device = check_params(self), next(self.network_.parameters()).device
        rows, held_out = np.split(np.arange(len(X)), [len(X) - n_validation])
        if params["early_stopping"] and not n_validation:
            rows, held_out = split_rows(targets, params["validation_fraction"], seed)
        mean, scale = np.zeros(X.shape[1]), np.ones(X.shape[1])
        if not goes_on:
            # A trained head takes features as they are. The deviations of a few images are so small for some columns
            # that it would change most where it was right.
            mean, scale = _standardization(X[rows], targets.weights[rows])
        arrays = ((X - mean) / scale).astype(np.float32), targets.indices, targets.weights
        inputs, indices, weights = (torch.from_numpy(array).to(device) for array in arrays)
        generator = torch.Generator().manual_seed(seed)

        def select(part: Any) -> Batch:
            return inputs[part], indices[part], weights[part]

        def training(epoch: int) -> Iterator[Batch]:
            # The order is on the device before the first step, so that no step waits for its rows.
            order = torch.from_numpy(rows)[torch.randperm(len(rows), generator=generator)].to(device)
            return map(select, order.split(params["batch_size"]))

        n_steps = math.ceil(len(rows) / params["batch_size"])
        options = TrainerOptions(
            targets.classes.tolist(),
            params["epochs"] or max(_EPOCHS, math.ceil(_MIN_STEPS / n_steps)),
            patience=params["patience"] if params["early_stopping"] else None,
            verbose=params["verbose"],
            unit="feature vectors",
            callbacks=callbacks,
        )
        optimizer = make_adamw(
            self.network_.parameters(), lr=params["learning_rate"], weight_decay=params["weight_decay"]
        )
        validation = (lambda: iter([select(held_out)])) if len(held_out) else None
        history = Trainer(self.network_, optimizer, options).fit(Batches(training, len(rows), n_steps, validation))
        _fold(self.network_[1], mean, scale)
        return history


def _predict_linear(
    weight: NDArray[np.float64], bias: NDArray[np.float64], X: NDArray[np.float32]
) -> NDArray[np.float64]:
    # Threads of torch wait busily for some time after each product, which for a few rows is longer than all the rest.
    proba: NDArray[np.float64] = softmax(X.astype(np.float64) @ weight + bias, axis=1)
    return proba


def _standardization(
    X: NDArray[np.float32], weights: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weighted mean and standard deviation of each column."""
    mean: NDArray[np.float64] = np.average(X, axis=0, weights=weights.astype(np.float64))
    scale = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weights.astype(np.float64)))
    # A constant column carries no information; its rounding noise must not be amplified.
    return mean, np.where(scale > 1e-6 * (np.abs(mean) + 1e-6), scale, 1.0)


def _fold(layer: Any, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> None:
    """Fold the standardization (x - mean) / scale into the linear layer that was trained on its result."""
    device = layer.weight.device
    with torch.no_grad():
        # In float64 on the CPU, because MPS has no float64.
        weight = layer.weight.cpu().double() / torch.from_numpy(scale)
        layer.bias.sub_((weight @ torch.from_numpy(mean)).float().to(device))
        layer.weight.copy_(weight.float().to(device))
