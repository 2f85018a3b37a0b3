"""Listing of images: everything that is an image, or may be one but cannot be read, is read or named."""

import io
import os
import string

import pytest
from hypothesis import given, strategies as st
from PIL import Image

from maskkit.datasets import describe, find_images_below, load_faces, load_photos
from maskkit.exceptions import DataError, ImageError, SkippedImageWarning
from tests.cli.conftest import run
from tests.conftest import fuzzing
from tests.helpers import load_image

FORMATS = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "PCX", "SGI", "JPEG2000", "DDS", "QOI"]


def encode(form="PNG"):
    file = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(file, form)
    return file.getvalue()


@pytest.fixture(scope="module")
def model(savable, tmp_path_factory):
    return savable.save(tmp_path_factory.mktemp("models") / "model")


def names(folder):
    return [path.relative_to(folder).as_posix() for path in find_images_below(folder)]


@pytest.fixture
def album(tmp_path):
    """A folder as people have it: images of all endings, files of programs, links, subfolders."""
    album = tmp_path / "album"
    (album / "Trip [2023]").mkdir(parents=True)
    (album / "empty").mkdir()
    for name in ("IMG10.JPG", "IMG2.jpg", "no_ending", "photo.jpg.part", "scan.txt", "Trip [2023]/a.png"):
        (album / name).write_bytes(encode())
    (album / "IMG_0001.HEIC").write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf")
    (album / "renamed").write_bytes(b"\0\0\0\x18ftypmif1\0\0\0\0miafheic")
    (album / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))
    (album / "clip.mp4").write_bytes(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2mp41")
    (album / "list.csv").write_text("BMW,P1,/*\n")
    (album / ".hidden.png").write_bytes(encode())
    os.mkfifo(album / "pipe")
    return album


ALBUM = [
    "IMG2.jpg",
    "IMG10.JPG",
    "IMG_0001.HEIC",
    "no_ending",
    "photo.jpg.part",
    "renamed",
    "scan.txt",
    "Trip [2023]/a.png",
]


def test_images_are_found_by_their_ending_or_their_first_bytes(album):
    assert names(album) == ALBUM


@pytest.mark.parametrize("form", FORMATS)
def test_image_of_any_format_needs_no_ending(form, tmp_path):
    (tmp_path / "IMG_1").write_bytes(encode(form))
    (tmp_path / "cut off").write_bytes(encode(form)[:64])
    assert "IMG_1" in names(tmp_path)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "WEBP"])
def test_image_that_is_cut_off_is_named(form, tmp_path):
    (tmp_path / "IMG_1").write_bytes(encode(form)[:16])
    assert names(tmp_path) == ["IMG_1"]


@pytest.mark.parametrize(
    "text", ["BMW and Audi", "P1 is first", "Pyramids", "#define N 3\n", "/* C */", "SIMPLE text", "<svg/>", "", "II*"]
)
def test_text_is_no_image(text, tmp_path):
    (tmp_path / "notes").write_text(text)
    assert names(tmp_path) == []


def test_opener_that_is_registered_later_counts(tmp_path, monkeypatch):
    """As pillow_heif.register_heif_opener() after `import maskkit`."""
    (tmp_path / "a.odd").write_bytes(b"ODD!" + bytes(28))
    assert names(tmp_path) == []
    Image.init()
    for name in ("OPEN", "EXTENSION", "MIME"):
        monkeypatch.setattr(Image, name, dict(getattr(Image, name)))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    Image.register_open("ODD", lambda file, name: Image.new("RGB", (8, 8)), lambda head: head.startswith(b"ODD!"))
    assert names(tmp_path) == ["a.odd"]
    (tmp_path / "b.strange").write_bytes(b"")
    Image.register_extension("ODD", ".strange")
    assert names(tmp_path) == ["a.odd", "b.strange"]


@given(st.sets(st.text(string.ascii_letters + string.digits + " []*?!é.-", min_size=1, max_size=12), max_size=6))
@fuzzing(25)
def test_no_image_is_lost_whatever_its_name(tmp_path_factory, found):
    folder = tmp_path_factory.mktemp("names")
    found = {f"a{name}" for name in found}
    for name in found:
        (folder / name).write_bytes(encode())
    assert set(names(folder)) == found


def test_names_that_are_not_text_are_listed(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    try:
        (tmp_path / name).write_bytes(encode("JPEG"))
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    assert names(tmp_path) == [name]


def test_very_deep_folders_are_searched(tmp_path):
    deep = tmp_path
    for _ in range(1200):
        deep = deep / "d"
        os.mkdir(deep)
    (deep / "a.png").write_bytes(encode())
    try:
        assert len(names(tmp_path)) == 1
    finally:
        # What removes temporary folders fails on so many levels.
        (deep / "a.png").unlink()
        os.removedirs(deep)


# What cannot be read


@pytest.fixture
def damaged(album, lock):
    """The album with links to nothing and to themselves, a locked subfolder and two locked files."""
    (album / "gone.jpg").symlink_to("nothing.jpg")
    (album / "gone").symlink_to(album / "nothing")
    (album / "loop.png").symlink_to("loop.png")
    (album / "loop").symlink_to("loop")
    (album / "gone.txt").symlink_to("nothing.txt")
    (album / "again").symlink_to(album)
    (album / "locked").mkdir()
    (album / "locked" / "a.png").write_bytes(encode())
    for name in ("secret.jpg", "secret"):
        (album / name).write_bytes(encode())
    for name in ("locked", "secret.jpg", "secret"):
        lock(album / name)
    return album


LOST = {
    "gone": "is a link to .*nothing, which does not exist",
    "gone.jpg": "is a link to nothing.jpg, which does not exist",
    "loop": "cannot be read .*symbolic link",
    "loop.png": "cannot be read .*symbolic link",
    "secret": "cannot be read \\(Permission denied\\)",
    "secret.jpg": "cannot be read \\(Permission denied\\)",
    "locked": "is a folder that cannot be read \\(Permission denied\\)",
}


def test_what_cannot_be_read_is_listed_and_its_error_names_it(damaged):
    assert set(names(damaged)) == {*ALBUM, *LOST}
    for name, reason in LOST.items():
        with pytest.raises(ImageError, match=f"{name}: {reason}"):
            load_image(damaged / name)


def test_predict_computes_the_rest(damaged, model, capsys):
    code, out, err = run(capsys, "predict", damaged, "--model", model, "--format", "csv")

    assert code == 1
    assert all(f"{damaged / name}: " in err for name in LOST)
    assert out.count(",ok,") == len(ALBUM) - 2  # HEIC is not read here
    assert out.count(",unreadable,") == len(LOST) + 2


def test_explain_computes_the_rest(damaged, model, capsys, tmp_path):
    (damaged / "IMG_0001.HEIC").unlink()
    (damaged / "renamed").unlink()
    code, out, err = run(capsys, "explain", damaged, "--model", model, "--out", tmp_path / "out", "--format", "csv")
    assert code == 1
    assert all(f"{damaged / name}: " in err for name in LOST)
    assert out.count("\n") == 1 + len(ALBUM) - 2


def test_locked_folder_alone_is_one_error(tmp_path, lock, model, capsys):
    (tmp_path / "locked").mkdir()
    lock(tmp_path / "locked")
    code, _, err = run(capsys, "predict", tmp_path / "locked", "--model", model)
    assert code == 1
    assert "locked: is a folder that cannot be read (Permission denied)" in err


def make_classes(folder):
    for index, label in enumerate(("bare", "masked")):
        (folder / label).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (32, 32), (90 * index, 50 * number, 0)).save(folder / label / f"{number}.png")
    return folder


def test_load_faces_names_what_cannot_be_read(tmp_path, lock):
    folder = make_classes(tmp_path)
    (folder / "bare" / "gone.jpg").symlink_to("nothing")
    (folder / "bare" / "inner").mkdir()
    (folder / "masked" / "no_ending").write_bytes(encode())
    (folder / "masked" / "secret.png").write_bytes(encode())
    lock(folder / "bare" / "inner")
    lock(folder / "masked" / "secret.png")
    faces = load_faces(folder)
    assert len(faces.paths) == 10
    assert len(describe(faces).to_dict()["unreadable"]) == 3
    with pytest.warns(SkippedImageWarning, match="3 of 10 images"):
        faces = load_faces(folder, on_error="skip")
    assert len(faces.paths) == 7
    assert {path.name for path, _ in faces.skipped} == {"gone.jpg", "inner", "secret.png"}


def test_load_faces_leaves_out_a_locked_split(tmp_path, lock):
    make_classes(tmp_path / "Train")
    make_classes(tmp_path / "Test")
    lock(tmp_path / "Test")
    with pytest.warns(SkippedImageWarning, match="1 of 2 splits cannot be read and were left out: Test"):
        faces = load_faces(tmp_path)
    assert list(faces.splits) == ["train"]
    assert [path.name for path, _ in faces.skipped] == ["Test"]


def test_locked_data_folder_is_one_error(tmp_path, lock):
    make_classes(tmp_path / "faces")
    lock(tmp_path / "faces")
    with pytest.raises(DataError, match=r"faces: cannot be read \(Permission denied\)"):
        load_faces(tmp_path / "faces")


def test_load_photos_leaves_out_a_locked_annotation(tmp_path, lock):
    for index in range(2):
        (tmp_path / f"{index}.xml").write_text("<annotation/>")
        (tmp_path / str(index)).write_bytes(encode())
    lock(tmp_path / "1.xml")
    with pytest.warns(SkippedImageWarning, match=r"1 of 2 photos .*1.xml: cannot be read \(Permission denied\)"):
        (photo,) = load_photos(tmp_path, on_error="skip")
    assert photo.path == tmp_path / "0"


# Patterns


def predicted(capsys, model, *sources):
    """Return the exit code and the names of the photos that predict prints, without repetition."""
    code, out, err = run(capsys, "predict", *sources, "--model", model, "--format", "csv")
    return code, list(dict.fromkeys(line.split(",")[0] for line in out.splitlines()[1:])), err


@pytest.fixture
def readable(album, monkeypatch):
    (album / "IMG_0001.HEIC").unlink()
    (album / "renamed").unlink()
    monkeypatch.chdir(album)
    return album


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*", ["IMG2.jpg", "IMG10.JPG", "no_ending", "photo.jpg.part", "scan.txt"]),
        ("**", ["IMG2.jpg", "IMG10.JPG", "no_ending", "photo.jpg.part", "scan.txt", "Trip [2023]/a.png"]),
        ("**/*.png", ["Trip [2023]/a.png"]),
        ("IMG*", ["IMG2.jpg", "IMG10.JPG"]),
        ("*/", ["Trip [2023]/a.png"]),
        ("Trip [[]2023]/*", ["Trip [2023]/a.png"]),
        ("Trip*/a.png", ["Trip [2023]/a.png"]),
        (".h*", [".hidden.png"]),
        ("Trip [2023]", ["Trip [2023]/a.png"]),
    ],
)
def test_patterns_give_images_in_natural_order(pattern, found, readable, model, capsys):
    assert predicted(capsys, model, pattern) == (0, found, "")
    assert predicted(capsys, model, f"{readable}/{pattern}")[1] == [str(readable / name) for name in found]


def test_pattern_names_what_cannot_be_read(damaged, model, capsys):
    code, found, _ = predicted(capsys, model, damaged / "*/*.png")
    assert code == 1
    assert {os.path.relpath(name, damaged) for name in found} == {
        "again/loop.png",
        "locked",
        "Trip [2023]/a.png",
    }
    _, found, _ = predicted(capsys, model, damaged / "**")
    assert len(found) == len(ALBUM) + len(LOST)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("Trip [2023]/*.jpg", "matches no file; check the pattern. Brackets stand for one of the letters in them; "
                              "write [[] for a bracket in a name: 'Trip [[]2023]/*.jpg'"),
        ("*.db", "matches no image, only folders or other files"),
        ("emp*", "matches no image, only folders or other files; pass the folders, or add /*"),
        ("*.xyz", "matches no file; check the pattern."),
        ("img*.JPG", "matches no file; check the pattern. Upper and lower case differ: there is IMG"),
        ("list.csv/*", "matches no file; check the pattern."),
    ],
)  # fmt: skip
def test_pattern_without_image_says_why(pattern, message, readable, model, capsys):
    code, _, err = predicted(capsys, model, pattern)
    assert code == 1
    assert f"{pattern}: {message}" in err
