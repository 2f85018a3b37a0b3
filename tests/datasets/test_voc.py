"""Variants of Pascal VOC annotations that other programs write, and names of their images."""

import os
import unicodedata

import pytest
from hypothesis import given, strategies as st
from PIL import Image

from maskkit.datasets import load_photos
from maskkit.exceptions import DataError, SkippedImageWarning
from tests.conftest import fuzzing

OBJECT = "<object><name>{}</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>"


def add(folder, annotation, *images, filename=None, content=None, encoding="utf-8"):
    """Write an annotation of that name, and images of others."""
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for image in images:
        Image.new("RGB", (60, 50)).save(folder / "images" / image, "PNG")
    name = "" if filename is None else f"<filename>{filename}</filename>"
    text = f"<annotation>{name}{content or OBJECT.format('with_mask')}</annotation>"
    path = folder / "annotations" / annotation
    path.write_bytes(text.encode(encoding))
    return path


def find(folder):
    return [photo.path.name for photo in load_photos(folder)]


# Names of images


@pytest.mark.parametrize(
    ("annotation", "images", "filename", "found"),
    [
        ("1.xml", ["other.jpg"], "other", "other.jpg"),
        ("1.xml", ["other.jpg"], "other.png", "other.jpg"),
        ("1.xml", ["other.jpg"], "/home/me/photos/other", "other.jpg"),
        ("1.xml", ["other.jpg"], "C:\\photos\\other.JPEG", "other.jpg"),
        ("1.xml", ["other.v2.jpg"], "other.v2", "other.v2.jpg"),
        ("1.xml", ["other.v2.jpg", "other.jpg"], "other.v2", "other.v2.jpg"),
        ("1.xml", ["other.jpg", "other.png"], "other.png", "other.png"),
        ("1.xml", ["Other.JPG"], "other.jpg", "Other.JPG"),
        ("1.xml", ["Other.jpg", "other.jpg"], "other.jpg", "other.jpg"),
        ("1.xml", ["Other.jpg", "other.jpg"], "other", "other.jpg"),
        ("a.jpg.xml", ["a.jpg"], None, "a.jpg"),
        ("A.XML", ["a.jpg"], None, "a.jpg"),
        ("a.xml", ["a.jpg", "b.jpg"], "b.jpg", "a.jpg"),
        ("a.b.xml", ["a.b.jpg", "a.jpg"], None, "a.b.jpg"),
        (
            "1.xml",
            [unicodedata.normalize("NFD", "café 1.jpg")],
            "café 1.jpg",
            unicodedata.normalize("NFD", "café 1.jpg"),
        ),
        (unicodedata.normalize("NFC", "Ünïx.xml"), [unicodedata.normalize("NFD", "Ünïx.png")], "", None),
        ("口罩 😷.xml", ["口罩 😷.jpg"], "口罩 😷.jpg", "口罩 😷.jpg"),
    ],
)
def test_the_one_image_of_that_name_is_found(tmp_path, annotation, images, filename, found):
    add(tmp_path, annotation, *images, filename=filename)
    assert find(tmp_path) == [found or images[0]]


@pytest.mark.parametrize(
    ("images", "filename", "reason"),
    [
        (["a.jpg", "a.png"], "a", "several images"),
        (["a.jpg", "a.png"], "a.webp", "several images"),
        (["other.jpg", "other.png"], "other", "several images"),
        (["other.jpg"], "", "no image"),
        (["other.jpg"], "..", "no image"),
    ],
)
def test_several_images_or_none_raise(tmp_path, images, filename, reason):
    add(tmp_path, "a.xml" if images[0].startswith("a") else "1.xml", *images, filename=filename)
    with pytest.raises(DataError, match=rf"\.xml: {reason}.* of that name, and <filename> is '{filename}'; want one"):
        load_photos(tmp_path)


@given(name=st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\&<>"), max_size=20))
@fuzzing(25)
def test_any_name_is_found_by_stem_and_by_filename(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("photos")
    # Surrounding spaces are no part of a <filename>, and an image needs a visible name.
    stem = "a" + name.replace(".", "_") + "z"
    add(folder, f"{stem}.xml", f"{stem}.png")
    add(folder, "zz.xml", f"{stem}2.png", filename=f"{stem}2")
    assert sorted(find(folder)) == sorted([f"{stem}.png", f"{stem}2.png"])


# Encodings


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16", None),
        ("gbk", "gbk"),
        ("gb2312", "GB2312"),
        ("big5", "big5"),
        ("shift_jis", "Shift_JIS"),
        ("euc-jp", "EUC-JP"),
    ],
)
def test_encodings_that_annotation_programs_write(tmp_path, encoding, declared):
    path = add(tmp_path, "a.xml", "a.png", content=OBJECT.format("口"))
    head = "" if declared is None else f'<?xml version="1.0" encoding="{declared}"?>\n'
    path.write_bytes((head + path.read_text(encoding="utf-8")).encode(encoding))
    assert load_photos(tmp_path)[0].labels.tolist() == ["口"]


def test_latin_1_and_windows_1252(tmp_path):
    for encoding in ("iso-8859-1", "windows-1252"):
        path = add(tmp_path, "a.xml", "a.png", content=OBJECT.format("masqué"))
        text = f'<?xml version="1.0" encoding="{encoding}"?>' + path.read_text(encoding="utf-8")
        path.write_bytes(text.encode(encoding))
        assert load_photos(tmp_path)[0].labels.tolist() == ["masqué"]


@pytest.mark.parametrize("declared", ["gbk", "utf-8", "gb-nonsense", "cp99999"])
def test_wrong_encoding_raises_with_the_file(tmp_path, declared):
    path = add(tmp_path, "a.xml", "a.png")
    path.write_bytes(f'<?xml version="1.0" encoding="{declared}"?><annotation>\xff\xff</annotation>'.encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.xml: is not well-formed XML"):
        load_photos(tmp_path)


# Content


def test_objects_in_another_element_are_read(tmp_path):
    add(tmp_path, "a.xml", "a.png", content=f"<objects>{OBJECT.format('a')}{OBJECT.format('b')}</objects>")
    assert load_photos(tmp_path)[0].labels.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (OBJECT.format("a").replace("object>", "Object>"), "has <bndbox> outside of any <object>"),
        (OBJECT.format("a").replace("</object>", "<bndbox/></object>"), "an <object> has several <bndbox>"),
        (OBJECT.format("a").replace("bndbox", "robndbox"), "the box .*None.* is not four numbers"),
        (OBJECT.format("a").replace("xmin", "x"), "the box .*None.* is not four numbers"),
        (OBJECT.format("a").replace(">30<", ">30,5<"), "the box .*30,5.* is not four numbers"),
        (OBJECT.format("a").replace(">30<", ">-30<"), "the box .* has swapped edges"),
        (OBJECT.format("a").replace(">30<", ">1e999<"), "the box .* not finite"),
        (OBJECT.format("a").replace(">30<", ">1e39<"), "the box .* not finite"),
        (OBJECT.format("<b>a</b>"), "an <object> has no <name>"),
    ],
)
def test_content_that_is_no_box_raises_with_the_file(tmp_path, content, message):
    add(tmp_path, "a.xml", "a.png", content=content)
    with pytest.raises(DataError, match=rf"a\.xml: {message}"):
        load_photos(tmp_path)


def test_folders_and_dead_links_beside_annotations(tmp_path):
    add(tmp_path, "a.xml", "a.png")
    (tmp_path / "annotations" / "old.xml").mkdir()
    assert find(tmp_path) == ["a.png"]
    os.symlink(tmp_path / "nowhere", tmp_path / "annotations" / "b.xml")
    with pytest.raises(DataError, match=r"b\.xml: cannot be read \(No such file"):
        load_photos(tmp_path)
    with pytest.warns(UserWarning, match=r"1 of 2 photos cannot be read and were left out: b\.xml"):
        assert len(load_photos(tmp_path, on_error="skip")) == 1


def test_two_annotations_of_one_photo_are_refused(tmp_path):
    add(tmp_path, "1.xml", "a.jpg", filename="a.jpg")
    add(tmp_path, "2.xml", filename="a.jpg")
    with pytest.raises(DataError, match=r"2\.xml: its image, .*a\.jpg, is also that of .*1\.xml"):
        load_photos(tmp_path)
    with pytest.warns(SkippedImageWarning, match=r"1 of 2 .*2\.xml"):
        assert [photo.path.name for photo in load_photos(tmp_path, on_error="skip")] == ["a.jpg"]
