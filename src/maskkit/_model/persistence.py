"""The part of MaskClassifier that saves and loads it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from maskkit._files.hub import fetch_model
from maskkit._files.pretrained import find_pretrained
from maskkit._model import saving
from maskkit._model.params import check_params
from maskkit._model.prediction import PredictionMixin
from maskkit.reporters._base import Report


class PersistenceMixin(PredictionMixin):
    """Methods that write a fitted classifier to a folder and read it back."""

    def save(
        self, folder: str | os.PathLike[str], *, half: bool = False, evaluation: Mapping[str, Report] | None = None
    ) -> Path:
        """Save the fitted model as a folder of safetensors and JSON with a model card.

        Parameters
        ----------
        folder : path
            Created, or replaced if it is a saved model.
        half : bool, default=False
            Whether to store weights as float16.
        evaluation : dict of str to Evaluation or PhotoEvaluation, optional
            Evaluations of this model, by the names of their data, such as ``{"entrance, March": evaluation}``. Their
            metrics are written to the model card with intervals and numbers of faces, and to ``maskkit.json``. Those
            of a loaded model stay, until it is trained, calibrated or quantized.

        Returns
        -------
        folder : Path

        Raises
        ------
        ModelFileError
            If the folder exists and is not a saved model, or the head is not a `TransferHead` (only pickle could store
            other classifiers, and pickles run code).
        TypeError
            If `evaluation` is not a dict of evaluations.
        """
        predictor = self.predictor_
        saving.check_evaluation(evaluation)
        training = {
            "class_counts": self.class_counts_.tolist(),
            "history": list(self.history_),
            "fine_tuned": self.fine_tuned_,
            "base": self.base_,
            **saving.describe_evaluations(self._evaluations, evaluation or {}),
        }
        return saving.save_model(folder, predictor, check_params(self) | self._trained_with, training, half=half)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], **params: Any) -> Self:
        """Load a model that `save` wrote.

        `fit` then goes on from the model. Its parameter `weights` names it, and the other parameters of training have
        their defaults; those that it was trained with are in its card.

        Parameters
        ----------
        folder : path
            Folder of the model.
        **params : object
            Constructor parameters that concern prediction, such as `detector` or `device`, to replace those saved.

        Returns
        -------
        classifier : MaskClassifier

        Raises
        ------
        ModelFileError
            If a file is missing or damaged.
        ValueError
            If a parameter does not concern prediction.
        """
        return saving.load_model(folder, cls, params)

    @classmethod
    def from_pretrained(cls, name: str = "maskkit-lite0", **params: Any) -> Self:
        """Load a model that ships with the package, without network access.

        Parameters
        ----------
        name : str, default="maskkit-lite0"
            Name of the model.
        **params : object
            Constructor parameters, as in `load`.

        Returns
        -------
        classifier : MaskClassifier
        """
        return cls.load(find_pretrained(name), **params)

    @classmethod
    def from_hub(cls, repo_id: str, *, revision: str | None = None, **params: Any) -> Self:
        """Load a model from the Hugging Face Hub, such as one that ``maskkit push`` uploaded.

        Only the files of a saved model are downloaded, and their checksums are checked; nothing in them is executed.
        Later calls use the copy in the cache of the Hub, and so does a process with ``MASKKIT_OFFLINE=1``, which asks
        no server.

        Parameters
        ----------
        repo_id : str
            Name of the repository, ``"USER/MODEL"``. A private one needs ``hf auth login`` or the environment variable
            ``HF_TOKEN``.
        revision : str, optional
            Branch, tag or commit. By default the newest revision of the branch ``main``.
        **params : object
            Constructor parameters, as in `load`.

        Returns
        -------
        classifier : MaskClassifier

        Raises
        ------
        ModelFileError
            If the model cannot be downloaded, or a file is missing or damaged.
        """
        return saving.load_model(fetch_model(repo_id, revision), cls, params, name=repo_id)
