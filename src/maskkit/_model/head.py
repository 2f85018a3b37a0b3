"""TransferHead: features to class probabilities."""

from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from maskkit._model.params import check_params
from maskkit._training.history import History
from maskkit._training.loop import Batch, make_adamw, train
from maskkit._training.targets import encode_labels, merge_weights, split_rows
from maskkit.engines._devices import one_thread, resolve_device, seeded

# Thirty passes at half the rate end no more accurate on 500 faces, nor on real photos' (docs/measurements.md).
_EPOCHS = 10
_MIN_STEPS = 40


class TransferHead(ClassifierMixin, BaseEstimator):
    """The layers that replace a backbone's last one: Dropout, Linear, Dropout, Linear, softmax.

    A scikit-learn classifier of its own, for any table of features. Features are standardised
    while it trains, and the scaling is then folded into the first linear layer, so that the network
    that predicts has just the layers named and trains well whatever the scale of its inputs.

    Parameters
    ----------
    hidden_units : int, default=300
        Width of the first linear layer.
    dropout : float, default=0.2
        Share of inputs and hidden units dropped in training, range 0 to 1.
    epochs : int, optional
        Passes over the training data, at most; by default 10, or as many as make 40 steps.
    batch_size : int, default=128
    learning_rate : float, default=0.002
        The highest of the one-cycle schedule; the optimiser is AdamW.
    weight_decay : float, default=0.1
        AdamW's decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101).
    class_weight : dict, {"balanced"} or None, default=None
        As in scikit-learn.
    early_stopping : bool, default=False
        Hold out a part, stop when its loss no longer falls, and go back to the best weights.
    validation_fraction : float, default=0.1
        The part held out for early stopping, stratified by class.
    patience : int, default=5
        Epochs without a lower validation loss before stopping.
    device : str, default="auto"
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    random_state : int, RandomState instance or None, default=None
        Seeds initial weights, dropout, order and the held-out part.
    verbose : int, default=0
        1 shows progress on standard error.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted labels; the order of the columns of `predict_proba`.
    n_features_in_ : int
    network_ : torch.nn.Sequential
        Float32 (n, n_features) to logits (n, n_classes).
    history_ : list of dict
        A record an epoch: epoch, loss, accuracy, images_per_second, and validation_loss and
        validation_accuracy with early stopping.

    Examples
    --------
    >>> import numpy as np
    >>> from maskkit import TransferHead
    >>> features = np.array([[0.0, 1.0], [0.1, 0.9], [1.0, 0.0], [0.9, 0.2]] * 10)
    >>> labels = ["bare", "bare", "mask", "mask"] * 10
    >>> head = TransferHead(random_state=0).fit(features, labels)
    >>> head.predict([[0.0, 1.0], [1.0, 0.1]]).tolist()
    ['bare', 'mask']
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
            Non-negative; how much each row counts.

        Returns
        -------
        self : TransferHead

        Raises
        ------
        ValueError
            If shapes disagree, values are not finite, or there is only one class.
        """
        features, labels = validate_data(self, X, y, dtype=np.float32)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        check_params(self)
        encode_labels(labels)
        weights = merge_weights(self.class_weight, labels, sample_weight)
        targets = self._initialise(features.shape[1], labels, seed)
        device = resolve_device(self.device)
        self.network_.to(device)
        with seeded(seed, device), one_thread():
            self.history_ = self._train(features, targets, weights, seed, device)
        self.network_.cpu()
        return self

    def initialise(self, n_features: int, y: NDArray[Any]) -> NDArray[np.int64]:
        """Make the untrained layers, for a loop that trains them with their backbone.

        Parameters
        ----------
        n_features : int
        y : ndarray of shape (n_samples,)
            Labels of two or more classes.

        Returns
        -------
        targets : ndarray of shape (n_samples,), int64
            Each label's index among `classes_`.
        """
        self.n_features_in_ = n_features
        return self._initialise(n_features, y, int(check_random_state(self.random_state).randint(2**31 - 1)))

    def _initialise(self, n_features: int, y: NDArray[Any], seed: int) -> NDArray[np.int64]:
        self.__dict__.pop("history_", None)  # until it is trained, it is not fitted
        self.classes_, targets = encode_labels(y)
        with seeded(seed):
            self.network_ = self.build(n_features, len(self.classes_))
        return targets

    def build(self, n_features: int, n_classes: int) -> nn.Sequential:
        """Make the layers, float32 (n, n_features) to logits (n, n_classes).

        The last layer starts at zero, so that training starts from equal probabilities and the first
        gradients that reach a pretrained backbone are small.
        """
        hidden, last = nn.Linear(n_features, self.hidden_units), nn.Linear(self.hidden_units, n_classes)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        return nn.Sequential(nn.Dropout(self.dropout), hidden, nn.Dropout(self.dropout), last)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "history_")

    def divide_logits(self, temperature: float) -> None:
        """Make a trained head less sure of itself, or surer: folded into the last layer, labels stay."""
        with torch.no_grad():
            for parameter in self.network_[-1].parameters():
                parameter.div_(temperature)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Tell the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes), float64
            Rows sum to 1; columns in the order of `classes_`.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        with torch.inference_mode():
            # Without dropout two linear layers are one. In float64 a row's answer does not depend on its neighbours.
            first, first_bias, last, last_bias = (values.double() for values in self.network_.parameters())
            logits = torch.tensor(X).double() @ (last @ first).T + (last @ first_bias + last_bias)
        return torch.softmax(logits, dim=1).numpy()

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Name the most probable class of each row, (n_samples,)."""
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(axis=1)]

    def _train(
        self,
        X: NDArray[np.float32],
        targets: NDArray[np.int64],
        weights: NDArray[np.float32],
        seed: int,
        device: torch.device,
    ) -> History:
        held_out = np.array([], dtype=int)
        rows = np.arange(len(X))
        if self.early_stopping:
            rows, held_out = split_rows(targets, self.validation_fraction, seed)
        mean, scale = _standardisation(X[rows], weights[rows])
        tensors = [
            torch.from_numpy(array).to(device) for array in (((X - mean) / scale).astype(np.float32), targets, weights)
        ]
        shuffle = torch.Generator().manual_seed(seed)

        def batches(epoch: int) -> Iterator[Batch]:
            order = torch.from_numpy(rows)[torch.randperm(len(rows), generator=shuffle)]
            for part in order.split(self.batch_size):
                yield tuple(tensor[part] for tensor in tensors)  # type: ignore[misc]

        def validation() -> Iterator[Batch]:
            yield tuple(tensor[held_out] for tensor in tensors)  # type: ignore[misc]

        n_steps = -(-len(rows) // self.batch_size)
        history = train(
            self.network_,
            make_adamw(self.network_.parameters(), device, lr=self.learning_rate, weight_decay=self.weight_decay),
            batches,
            n_epochs=self.epochs or max(_EPOCHS, -(-_MIN_STEPS // n_steps)),
            n_items=len(rows),
            n_steps=n_steps,
            validation=validation if self.early_stopping else None,
            patience=self.patience if self.early_stopping else None,
            verbose=self.verbose,
        )
        _fold(self.network_[1], mean, scale)
        return history


def _standardisation(
    X: NDArray[np.float32], weights: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean: NDArray[np.float64] = np.average(X, axis=0, weights=weights.astype(np.float64))
    scale = np.sqrt(np.average((X - mean) ** 2, axis=0, weights=weights.astype(np.float64)))
    # A column that never changes tells nothing; do not blow up its noise.
    return mean, np.where(scale > 1e-6 * (np.abs(mean) + 1e-6), scale, 1.0)


def _fold(layer: Any, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> None:
    """Make a linear layer trained on (x - mean) / scale take x."""
    device = layer.weight.device
    with torch.no_grad():
        weight = layer.weight.double().cpu() / torch.from_numpy(scale)
        layer.bias.sub_((weight @ torch.from_numpy(mean)).float().to(device))
        layer.weight.copy_(weight.float().to(device))
