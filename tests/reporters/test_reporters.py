"""Reporters write what the evaluation holds, with the real trackers."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from maskkit import evaluate, evaluate_photos, evaluate_robustness
from maskkit.evaluation import Mistake
from maskkit.exceptions import PluginError
from maskkit.reporters import ConsoleReporter, JsonReporter, PlotsReporter
from maskkit.testing import check_reporter, make_faces
from tests.evaluation.test_evaluation import SAID, TRUTHS, Scripted, one_hot
from tests.evaluation.test_photo_evaluation import A, Finder, annotated, face

OF_COMPARISON = {"comparison"} | {
    f"{place}_{figure}"
    for place in ("1_own", "2_other")
    for figure in ("confusion_matrix", "roc", "reliability", "risk_coverage", "slices", "worst_mistakes")
}


@pytest.fixture(scope="module", params=["faces", "photos", "comparison", "robustness"])
def evaluation(request):
    if request.param == "comparison":
        faces = make_faces(10)[0], TRUTHS
        return evaluate(Scripted(one_hot(SAID)), {"own": faces, "other": faces}, n_resamples=20)
    if request.param == "robustness":
        return evaluate_robustness(Scripted(one_hot(SAID)), make_faces(10)[0], TRUTHS, n_resamples=20)
    if request.param == "faces":
        return evaluate(Scripted(one_hot(SAID)), make_faces(10)[0], TRUTHS, n_resamples=20)
    photos = [annotated((A, "with_mask"))] * 3
    return evaluate_photos(Finder(*[[face(A, "with_mask")]] * 3), photos, n_resamples=20)


def test_console_prints_80_columns(evaluation, capsys):
    ConsoleReporter().report(evaluation)
    lines = capsys.readouterr().out.splitlines()
    assert any("95 % interval" in line or "accuracy" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_json_holds_everything(evaluation, tmp_path):
    path = JsonReporter(tmp_path / "new" / "report.json").report(evaluation)
    assert json.loads(path.read_text()) == json.loads(json.dumps(evaluation.to_dict()))
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]


def test_plots_are_pictures_without_metadata(evaluation, tmp_path):
    folder = PlotsReporter(tmp_path / "plots").report(evaluation)
    names = {path.stem for path in folder.iterdir()}
    of_faces = {"confusion_matrix", "roc", "reliability", "risk_coverage", "slices", "worst_mistakes"}
    assert names in (of_faces, {"by_size", "precision_recall"}, {"robustness"}, OF_COMPARISON)
    for path in folder.iterdir():
        with Image.open(path) as picture:
            assert min(picture.size) > 200
            assert not {"Software", "Creation Time"} & set(picture.info)
            assert np.asarray(picture.convert("L")).std() > 5


def test_file_names_that_are_not_utf8_can_be_reported(tmp_path):
    # What Path gives for b"face\xe9.png" on a file system that takes any bytes.
    mistake = Mistake(make_faces(1)[0][0], "face\udce9.png", "with_mask", "without_mask", 0.9)
    odd = replace(evaluate(Scripted(one_hot(SAID)), make_faces(10)[0], TRUTHS, n_resamples=5), mistakes=(mistake,))
    path = JsonReporter(tmp_path / "report.json").report(odd)
    assert json.loads(path.read_text(encoding="utf-8"))["mistakes"][0]["file"] == "face\udce9.png"
    assert (PlotsReporter(tmp_path / "plots").report(odd) / "worst_mistakes.png").is_file()


def test_failed_json_leaves_the_last_report_alone(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("{}")
    broken = SimpleNamespace(to_dict=lambda: {"value": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        JsonReporter(path).report(broken)
    assert path.read_text() == "{}"
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def test_tensorboard_reads_back_what_was_written(evaluation, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from maskkit.reporters import TensorBoardReporter

    folder = TensorBoardReporter(tmp_path / "runs", step=3).report(evaluation)
    events = EventAccumulator(str(folder)).Reload()
    name = next(iter(evaluation.metrics()))
    (event,) = events.Scalars(f"{name}/value")
    known = {name for name, estimate in evaluation.metrics().items() if not np.isnan(estimate.value)}
    assert {tag.rpartition("/")[0] for tag in events.Tags()["scalars"]} == known
    assert event.step == 3
    assert event.value == pytest.approx(evaluation.metrics()[name].value)
    assert set(events.Tags()["images"]) == set(evaluation.figures())


# MLflow's own tables use what SQLAlchemy 2.1 deprecates.
@pytest.mark.filterwarnings("ignore:.*deprecated since. 2.1")
def test_mlflow_reads_back_what_was_written(evaluation, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    from maskkit.reporters import MlflowReporter

    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    for _ in range(2):
        MlflowReporter(uri, experiment="faces", run_name="first").report(evaluation)
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("faces").experiment_id])
    assert len(runs) == 2
    assert runs[0].info.status == "FINISHED"
    name, estimate = next(iter(evaluation.metrics().items()))
    assert runs[0].data.metrics[f"{name}.value"] == pytest.approx(estimate.value)
    assert len(runs[0].data.metrics) == 3 * sum(not np.isnan(figure.value) for figure in evaluation.metrics().values())
    artifacts = {artifact.path for artifact in client.list_artifacts(runs[0].info.run_id)}
    assert artifacts == {"evaluation.json", *(f"{figure}.png" for figure in evaluation.figures())}


@pytest.mark.filterwarnings("ignore:.*deprecated since. 2.1")
def test_mlflow_needs_no_server_and_marks_failed_runs(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    from maskkit.reporters import MlflowReporter

    def fail():
        raise OSError("no space left")

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    broken = SimpleNamespace(metrics=dict, to_dict=dict, figures=fail)
    with pytest.raises(OSError, match="no space left"):
        MlflowReporter().report(broken)
    assert (tmp_path / "mlflow.db").is_file()
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("maskkit").experiment_id])
    assert run.info.status == "FAILED"


def test_contract_of_the_built_in_reporters(tmp_path):
    for reporter in (ConsoleReporter(), JsonReporter(tmp_path / "r.json"), PlotsReporter(tmp_path / "p")):
        check_reporter(reporter)


class Broken:
    def __init__(self, answer):
        self.answer = answer

    def report(self, evaluation):
        return self.answer(evaluation)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda evaluation: "report.txt", "returned 'report.txt'; want None or the Path"),
        (lambda evaluation: evaluation.confusion.fill(0), "changed the evaluation"),
    ],
)
def test_contract_catches_nonsense(answer, message):
    with pytest.raises(PluginError, match=f"reporter Broken: .*{message}"):
        check_reporter(Broken(answer))


class Epochs:
    """A reporter that does something with the records of a training."""

    def __init__(self, act):
        self.act, self.records = act, []

    def report(self, evaluation):
        return None

    def report_epoch(self, record):
        self.records.append(dict(record))
        self.act(record)


def test_contract_of_reporters_of_epochs():
    reporter = Epochs(len)
    check_reporter(reporter)
    assert [record["epoch"] for record in reporter.records] == [1, 2, 1, 2]
    assert ["validation_confusion" in record for record in reporter.records] == [False, False, True, True]
    with pytest.raises(PluginError, match=r"reporter Epochs: report_epoch\(\) changed the record; work on a copy"):
        check_reporter(Epochs(dict.popitem))
    with pytest.raises(PluginError, match=r"report_epoch\(\) failed on a record of training \(KeyError: 'time'\)"):
        check_reporter(Epochs(lambda record: record["time"]))


# Plots have no room for names of 300 letters.
@pytest.mark.filterwarnings("ignore:.*deprecated since. 2.1", "ignore:constrained_layout not applied")
def test_trackers_take_classes_of_any_name(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("tensorboard")
    from maskkit.reporters import MlflowReporter, TensorBoardReporter

    classes = ["a\udcff\x1b[31m", "b" * 300 + "1", "b" * 300 + "2"]
    model = Scripted(one_hot([0, 1, 2, 0, 2, 1], n_classes=3), classes)
    odd = evaluate(model, make_faces(6)[0], classes * 2, n_resamples=20)
    monkeypatch.chdir(tmp_path)
    reporters = (
        TensorBoardReporter("runs"),
        MlflowReporter(f"sqlite:///{tmp_path / 'mlflow.db'}", run_name="evaluation"),
    )
    validated = {"confusion": np.eye(3, dtype=int).tolist(), "precision": [1.0] * 3, "recall": [1.0] * 3}
    for reporter in reporters:
        reporter.report(odd)
        reporter.report_epoch({"epoch": 1.0, "classes": classes} | {f"validation_{k}": v for k, v in validated.items()})
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    training, run = client.search_runs([client.get_experiment_by_name("maskkit").experiment_id])
    assert len(training.data.metrics) == 2 * (3 + 1)
    assert len(run.data.metrics) == 3 * sum(not np.isnan(found.value) for found in odd.metrics().values())
