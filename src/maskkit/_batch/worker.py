"""What computes the parts, one at a time, with a model of its own."""

import traceback
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from maskkit._batch.inputs import read_cells, read_places
from maskkit._batch.parts import INPUT_FILE, Plan
from maskkit._batch.rows import predict_crop_rows, predict_rows
from maskkit._images.prefetch import limit_threads
from maskkit.exceptions import MaskkitError

if TYPE_CHECKING:
    from maskkit._model.predictor import FacePredictor


def compute_part(plan: Plan, predictor: "FacePredictor", part: int) -> dict[str, int]:
    """Predict the images of a part and write it; give the numbers of its images, faces and unreadable images."""
    storage, path = plan.place(INPUT_FILE)
    with storage.open(path, "rb") as file:
        places = read_places(file, part)
    predict = predict_crop_rows if plan.crops else predict_rows
    rows = predict(predictor, read_cells(places, plan.column))
    counts = {"n_images": 0, "n_faces": 0, "n_unreadable": 0}

    def counted() -> Any:
        for of_image in rows:
            counts["n_images"] += 1
            counts["n_faces"] += sum(row["face"] is not None for row in of_image)
            counts["n_unreadable"] += of_image[0]["status"] == "unreadable"
            yield of_image

    are_words = predictor.classes.dtype.kind in "UO"
    plan.write(part, counted(), pa.string() if are_words else pa.int64())
    return counts


class Worker:
    """An actor of Ray Data: computes parts by their numbers.

    Parameters
    ----------
    plan : Plan
    model : ray.ObjectRef
        The pickled predictor.
    n_threads : int
        How many it may compute in.
    """

    def __init__(self, plan: Plan, model: Any, n_threads: int):
        import ray
        from ray import cloudpickle

        # First of all: networks are loaded for so many threads.
        limit_threads(n_threads)
        self._plan = plan
        self._predictor = cloudpickle.loads(ray.get(model))

    def __call__(self, batch: dict[str, NDArray[np.int64]]) -> dict[str, Any]:
        """Compute the one part of a batch."""
        (part,) = batch["part"].tolist()
        # Ray would give the driver the text of its own frames; here what went wrong comes back as it is.
        try:
            counts = compute_part(self._plan, self._predictor, part)
        except Exception as exc:
            failure = str(exc) if isinstance(exc, MaskkitError) else f"{type(exc).__name__}: {exc}."
            return {"part": [part], "failure": [" ".join(failure.split())], "trace": [traceback.format_exc()]}
        return {"part": [part], "failure": [""], "trace": [""], **{name: [count] for name, count in counts.items()}}
