"""Error messages state the input, what is expected and what to do."""

import shutil

import pytest
from PIL import Image

from maskkit.cli import main
from maskkit.testing import make_faces


@pytest.fixture(scope="module")
def here(savable, tmp_path_factory):
    """A folder with data, a model, and much that is neither."""
    here = tmp_path_factory.mktemp("here")
    savable.save(here / "model")
    for index, (image, label) in enumerate(zip(*make_faces(8), strict=True)):
        for folder in (here / "faces" / "Train" / label, here / "photos"):
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{index}.png")
    shutil.copytree(here / "faces" / "Train" / "with_mask", here / "one" / "with_mask")
    (here / "empty").mkdir()
    (here / "notes.txt").write_text("mine")
    for name, old, new in (("newer", '"format_version": 1', '"format_version": 2'), ("damaged", "{", "")):
        shutil.copytree(here / "model", here / name)
        config = here / name / "maskkit.json"
        config.write_text(config.read_text().replace(old, new))
    return here


QUICK = "--backbone timm:test_resnet --weights none --image-size 48 --frozen --quiet --out m"


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("train gone --out m", 1, "gone: no such folder; check the path"),
        ("train empty --out m", 1, "empty: contains no images and no folder; want split and class folders"),
        ("train one --out m", 1, "one: contains only one class, with_mask; want"),
        ("train notes.txt --out m", 1, "notes.txt: is a file that ends in '.txt'; want a folder, or .csv"),
        ("train photos --out m", 1, "photos: contains 8 images and no folder; want"),
        (f"train faces {QUICK} --backbone resnet5", 1, "backbone 'resnet5' is unknown; installed: efficientnet_lite0"),
        (f"train faces {QUICK} --detector centrface", 1, "detector 'centrface' is unknown; installed: centerface"),
        (f"train faces {QUICK} --split Test", 1, "--split Test: no such split; DATA has train"),
        (f"train faces {QUICK} --device gpu", 1, "--device gpu is unknown; use 'auto', 'cpu'"),
        (f"train faces {QUICK} --class-weight balance", 1, "--class-weight balance is unknown; use 'balanced'"),
        (f"train faces {QUICK} --plots notes.txt", 2, "notes.txt: is a file; pass a folder"),
        ("train faces --out notes.txt", 1, "notes.txt: exists and is not a maskkit model; choose another name"),
        ("train faces --out notes.txt/m", 1, "notes.txt/m: cannot be written"),
        ("train faces", 2, "Missing option '--out'"),
        ("predict", 2, "Missing argument 'SOURCE'"),
        ("predict gone.jpg", 1, "gone.jpg: no such file; check the path"),
        ("predict empty", 1, "empty: contains no images; pass files or another folder"),
        ("predict *.tif", 1, "*.tif: matches no file; check the pattern"),
        ("predict -", 1, "-: standard input is not supported; save the image as a file"),
        ("predict https://example.com/a.jpg", 1, "is a URL, and prediction uses no network; download it"),
        ("predict file:///a.jpg", 1, "file:///a.jpg: is a URL; pass the path of the file, without file://"),
        ("predict notes.txt --model model", 1, "notes.txt: cannot be read as an image"),
        ("predict photos --model maskit-lite0", 1, "'maskit-lite0' is neither a folder nor a model that ships"),
        ("predict photos --model faces", 1, "faces: is not a maskkit model (maskkit.json is missing); pass a folder"),
        ("predict photos --model newer", 1, "has format version 2, this maskkit reads 1; upgrade maskkit"),
        ("predict photos --model damaged", 1, "want the JSON that save() wrote"),
        ("predict photos --model model --out notes.txt", 2, "notes.txt: is a file; pass a folder"),
        (
            "predict photos --model model --out notes.txt/d",
            1,
            "cannot be created, because",
        ),
        ("predict photos --model model --device gpu", 1, "--device gpu is unknown; use 'auto', 'cpu'"),
        ("predict photos --blur", 2, "is for the photos that --out writes"),
        ("explain photos --out notes.txt", 2, "notes.txt: is a file; pass a folder"),
        ("evaluate photos --model model", 1, "Photos need annotations: Pascal VOC (*.xml), or a file .csv"),
        ("evaluate faces/Train --model model --plots notes.txt", 2, "notes.txt: is a file; pass a folder"),
        ("evaluate faces/Train --report wandb", 1, "reporter 'wandb' is unknown; installed: console"),
        ("data info photos", 1, "Photos need annotations: Pascal VOC (*.xml), or a file .csv"),
        ("data collage faces --out c.txt", 2, "c.txt: unknown picture format; use .png or .jpg"),
        ("export --out e --format tensorrt", 2, "'tensorrt' is not one of 'onnx', 'openvino'"),
    ],
)
def test_mistakes_end_with_a_clear_message(command, code, said, here, capsys, monkeypatch):
    monkeypatch.chdir(here)
    before = sorted(here.rglob("*"))
    with pytest.raises(SystemExit) as ending:
        main(command.split())
    err = capsys.readouterr().err
    assert said in " ".join(err.split())
    assert ending.value.code == code
    assert "Traceback" not in err
    if code == 1:
        assert err.startswith("maskkit: error: ")
        assert err.count("\n") == 1
    assert sorted(here.rglob("*")) == before
