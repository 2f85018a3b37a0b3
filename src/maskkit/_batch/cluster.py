"""Ray: start it or join it, without its telemetry and its chatter, and run workers on it."""

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from maskkit._batch.parts import Plan
from maskkit._batch.worker import Worker
from maskkit.exceptions import MaskkitError

if TYPE_CHECKING:
    from maskkit._model.predictor import FacePredictor

# A worker decodes in threads while its network computes; beyond this a second worker gains more.
_THREADS_A_WORKER = 4


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Join the Ray that runs in this process, else the cluster of an address, else start one on this machine."""
    # Ray reports its use to its makers unless told not to, before it starts.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Its C++ half writes hints to its own developers on standard error.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    with _quiet():
        if ray.is_initialized():
            yield
            return
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        try:
            yield
        finally:
            ray.shutdown()


def run_workers(
    plan: Plan, predictor: "FacePredictor", parts: Iterable[int], n_workers: int | None
) -> Iterator[dict[str, int]]:
    """Compute parts on the cluster.

    Yields
    ------
    counts : dict
        Of each part when it is written: `part`, `n_images`, `n_faces`, `n_unreadable`.

    Raises
    ------
    MaskkitError
        If a part fails; the parts that are written stay.
    """
    import ray
    from ray import cloudpickle
    from ray.data import ActorPoolStrategy

    items = [{"part": part} for part in parts]
    n_workers, n_threads = share_cores([_n_cores(node) for node in ray.nodes()], n_workers, len(items))
    model = ray.put(cloudpickle.dumps(predictor))
    done = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        Worker,
        fn_constructor_args=(plan, model, n_threads),
        batch_size=1,
        num_cpus=n_threads,
        num_gpus=1 if predictor.embedder.settings.device.startswith("cuda") else 0,
        # Parts wait for a free worker here, not behind a slow one.
        compute=ActorPoolStrategy(size=n_workers, max_tasks_in_flight_per_actor=1),
    )
    for row in done.iter_rows():
        if row["failure"]:
            exc = MaskkitError(
                f"part {row['part']}: {row['failure']} Finished parts are kept; the same command does the rest."
            )
            exc.add_note(row["trace"])
            raise exc
        yield {name: value for name, value in row.items() if isinstance(value, int)}


def share_cores(n_cores: list[int], n_workers: int | None, n_parts: int) -> tuple[int, int]:
    """Give the number of workers and how many cores each may use, so that they do not fight for them.

    Parameters
    ----------
    n_cores : list of int
        Of each machine.
    n_workers : int or None
        By default one for every 4 cores of a machine, at least one.
    n_parts : int
        More workers would have nothing to do.
    """
    sizes = [size for size in n_cores if size > 0] or [1]
    if n_workers is None:
        n_workers = sum(max(1, size // _THREADS_A_WORKER) for size in sizes)
    n_workers = min(n_workers, n_parts)
    shares = range(max(sizes), 0, -1)
    return n_workers, next((share for share in shares if sum(size // share for size in sizes) >= n_workers), 1)


def _n_cores(node: dict[str, Any]) -> int:
    return int(node["Resources"].get("CPU", 0)) if node["Alive"] else 0


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what Ray Data tells of itself, but not its errors."""
    from ray.data import DataContext

    context = DataContext.get_current()
    shows_bars, context.enable_progress_bars = context.enable_progress_bars, False
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
        context.enable_progress_bars = shows_bars
