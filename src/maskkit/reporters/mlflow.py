"""Reporter for MLflow."""

import math
import re
import time

import mlflow
from mlflow.entities import Metric
from sklearn.base import BaseEstimator

from maskkit._images.hashing import hash_content
from maskkit._images.prefetch import in_batches
from maskkit._text import escape_text, to_json
from maskkit.reporters._base import EpochRecord, Report, epoch_metrics

# Maximum number of metrics in one call of MLflow.
MAX_METRICS = 1000

# MLflow takes names of 250 letters, of which the hash and the ending need some.
_MAX_NAME = 230


class MlflowReporter(BaseEstimator):
    """Logs metrics, plots and the whole evaluation as a run; needs the extra ``mlflow``.

    As a callback of training, it logs the metrics of each epoch in a run of their own, with the epoch as the step.

    Parameters
    ----------
    tracking_uri : str or None, default=None
        URL of a server, or a file such as ``sqlite:///mlflow.db``. None: MLflow's own setting, by default that file in
        the working folder.
    experiment : str, default="maskkit"
        Name of the experiment; created if it does not exist.
    run_name : str or None, default=None
        Name of the run; None: MLflow chooses one.
    """

    def __init__(self, tracking_uri: str | None = None, experiment: str = "maskkit", run_name: str | None = None):
        self.tracking_uri = tracking_uri
        self.experiment = experiment
        self.run_name = run_name

    def report(self, evaluation: Report) -> None:
        """Log a finished run."""
        client, run_id = self._start_run()
        try:
            for batch in in_batches(_list_metrics(evaluation), MAX_METRICS):
                client.log_batch(run_id, metrics=batch)
            client.log_text(run_id, to_json(evaluation.to_dict(), indent=2), "evaluation.json")
            for name, figure in evaluation.figures().items():
                client.log_figure(run_id, figure, f"{name}.png")
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id)

    def report_epoch(self, record: EpochRecord) -> None:
        """Log the metrics of an epoch; the first epoch of a training starts a run."""
        epoch, now_ms = int(record["epoch"]), int(1000 * time.time())
        if epoch == 1 or not hasattr(self, "_training_run"):
            _, self._training_run = self._start_run()
        client = mlflow.MlflowClient(tracking_uri=self.tracking_uri)
        metrics = [Metric(_clean(name), value, now_ms, epoch) for name, value in epoch_metrics(record).items()]
        for batch in in_batches(metrics, MAX_METRICS):
            client.log_batch(self._training_run, metrics=batch)
        if "validation_confusion" in record:
            confusion = {name: record[name] for name in ("classes", "validation_confusion")}
            client.log_text(self._training_run, to_json(confusion), f"validation_confusion/epoch_{epoch}.json")
        # Any epoch may be the last one. MLflow accepts metrics of runs that are finished.
        client.set_terminated(self._training_run)

    def _start_run(self) -> tuple[mlflow.MlflowClient, str]:
        client = mlflow.MlflowClient(tracking_uri=self.tracking_uri)
        found = client.get_experiment_by_name(self.experiment)
        experiment_id = client.create_experiment(self.experiment) if found is None else found.experiment_id
        return client, client.create_run(experiment_id, run_name=self.run_name).info.run_id


def _list_metrics(evaluation: Report) -> list[Metric]:
    now_ms = int(1000 * time.time())
    return [
        Metric(f"{_clean(name)}.{end}", getattr(estimate, end), now_ms, 0)
        for name, estimate in evaluation.metrics().items()
        if not math.isnan(estimate.value)
        for end in ("value", "low", "high")
    ]


def _clean(name: str) -> str:
    """Replace what MLflow does not take in a name: it takes letters, digits and ``_-./ :``."""
    name = re.sub(r"[^\w\-. /:]", "_", escape_text(name).replace("<", "under ").replace("+", " and up"))
    if len(name) <= _MAX_NAME:
        return name
    # The hash keeps names apart that differ only in what is cut off.
    return f"{name[:_MAX_NAME]}_{hash_content(name.encode())[:8]}"
