"""Ray: join or start a cluster, and compute parts in its workers."""

import logging
import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskkit._batch.parts import Job, compute_part
from maskkit._images.prefetch import limit_threads
from maskkit._text import hide_secrets
from maskkit.exceptions import EngineError, MaskkitError

if TYPE_CHECKING:
    from maskkit._model.predictor import FacePredictor

# A worker decodes in threads while its network computes; with more cores, a second worker gains more.
_CORES_PER_WORKER = 4


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Join the Ray that runs in this process, else the cluster of an address, else start one on this machine."""
    # Ray sends usage statistics unless this is set before it starts.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # The C++ part of Ray writes hints for its developers to standard error.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray
    from ray.data import DataContext

    # Progress bars and messages of Ray Data are hidden, except errors.
    context, logger = DataContext.get_current(), logging.getLogger("ray.data")
    before = context.enable_progress_bars, logger.level
    context.enable_progress_bars = False
    logger.setLevel(logging.ERROR)
    is_owner = not ray.is_initialized()
    try:
        if is_owner:
            ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        yield
    finally:
        if is_owner:
            ray.shutdown()
        context.enable_progress_bars = before[0]
        logger.setLevel(before[1])


def compute_parts(
    job: Job, predictor: "FacePredictor", parts: Sequence[int], n_workers: int | None
) -> Iterator[dict[str, int]]:
    """Compute parts on the cluster; yield the counts of each, as `compute_part` returns them, when it is written.

    Raises
    ------
    MaskkitError
        If a part fails; parts that are written stay.
    """
    import ray
    from ray import cloudpickle
    from ray.data import ActorPoolStrategy

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    n_cores, n_gpus = ([int(node.get(name, 0)) for node in nodes] for name in ("CPU", "GPU"))
    uses_gpus = _uses_gpus(predictor, sum(n_gpus))
    n_workers, n_threads = divide_cores(n_cores, n_workers, len(parts), n_gpus if uses_gpus else None)
    results = ray.data.from_items([{"part": part} for part in parts], override_num_blocks=len(parts)).map_batches(
        _Worker,
        fn_constructor_args=(job, ray.put(cloudpickle.dumps(predictor)), n_threads),
        batch_size=1,
        num_cpus=n_threads,
        num_gpus=int(uses_gpus),
        # Parts wait for a free worker in a common queue, and not behind a slow worker.
        compute=ActorPoolStrategy(size=n_workers, max_tasks_in_flight_per_actor=1),
    )
    for row in results.iter_rows():
        if row["failure"]:
            exc = MaskkitError(
                f"part {row['part']}: {row['failure']} Finished parts are kept; run the same command again to resume."
            )
            exc.add_note(row["trace"])
            raise exc
        yield {name: row[name] for name in ("n_images", "n_faces", "n_unreadable")}


def _uses_gpus(predictor: "FacePredictor", n_gpus: int) -> bool:
    """Return whether each worker takes a GPU of the cluster.

    Raises EngineError if the cluster lacks the GPU that a device asks for, because Ray would wait for one forever.
    """
    devices = _devices(predictor)
    named = next((device for device in devices if device.startswith("cuda")), None)
    if named is not None and not n_gpus:
        raise EngineError(f"device={named!r} needs a GPU, and the Ray cluster has none; use device='auto' or 'cpu'.")
    return n_gpus > 0 and (named is not None or "auto" in devices)


def _devices(predictor: "FacePredictor") -> list[str]:
    return [predictor.embedder.settings.device, str(getattr(predictor.detector, "device", "cpu"))]


def _use_own_gpu(predictor: "FacePredictor") -> "FacePredictor":
    """Return a predictor for a worker, which sees only its own GPU, whatever the number of that is elsewhere."""
    of_network, of_detector = _devices(predictor)
    if of_detector.startswith("cuda"):
        predictor.detector.device = "cuda"  # type: ignore[attr-defined]
    if of_network.startswith("cuda"):
        settings = replace(predictor.embedder.settings, device="cuda")
        predictor = replace(predictor, embedder=replace(predictor.embedder, settings=settings))
    return predictor


def divide_cores(
    n_cores: Sequence[int], n_workers: int | None, n_parts: int, n_gpus: Sequence[int] | None = None
) -> tuple[int, int]:
    """Return the number of workers, at most one per part, and the number of cores of each.

    `n_cores` is the number of cores of each machine, and `n_gpus` that of GPUs if every worker takes one. By default
    there is one worker per 4 cores of a machine, and at least one; with GPUs, one per GPU, and never more.
    """
    limits = n_cores if n_gpus is None else n_gpus
    places = [(max(size, 1), limit) for size, limit in zip(n_cores, limits, strict=True) if limit > 0] or [(1, 1)]
    if n_gpus is not None:
        n_workers = min(n_workers or n_parts, sum(limit for _, limit in places))
    elif n_workers is None:
        n_workers = sum(max(1, size // _CORES_PER_WORKER) for size, _ in places)
    n_workers = min(n_workers, n_parts)
    # A worker cannot use cores of two machines, so the largest share at which all workers fit is searched.
    for share in range(max(size for size, _ in places), 0, -1):
        if sum(min(size // share, limit) for size, limit in places) >= n_workers:
            return n_workers, share
    return n_workers, 1


class _Worker:
    """Actor of Ray Data that computes parts with its own predictor."""

    def __init__(self, job: Job, predictor: Any, n_threads: int):
        import ray
        from ray import cloudpickle

        # Set first, because networks are compiled for a number of threads when they are loaded.
        limit_threads(n_threads)
        self._job = job
        self._predictor = _use_own_gpu(cloudpickle.loads(ray.get(predictor)))

    def __call__(self, batch: dict[str, NDArray[np.int64]]) -> dict[str, Any]:
        """Compute the part of a batch of one."""
        (part,) = batch["part"].tolist()
        # Ray would bury an exception in its own traceback, so failures are returned as values.
        try:
            counts = compute_part(self._job, self._predictor, part)
        except Exception as exc:
            failure = str(exc) if isinstance(exc, MaskkitError) else f"{type(exc).__name__}: {exc}."
            failure = hide_secrets(" ".join(failure.split()))
            trace = "\n".join(map(hide_secrets, traceback.format_exc().splitlines()))
            return {"part": [part], "failure": [failure], "trace": [trace]}
        return {"part": [part], "failure": [""], "trace": [""], **{name: [count] for name, count in counts.items()}}
