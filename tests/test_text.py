"""Text of any file name can be shown, stored and made part of other file names."""

import io
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from maskkit._text import MAX_STEM_BYTES, check_path, escape_text, shorten_name, to_json
from maskkit.exceptions import DataError, ImageError
from tests.conftest import fuzzing

# Control characters, marks of direction, line separators and lone surrogates.
UNSAFE = "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"

# Names as Linux takes them: any bytes, decoded as Python does it.
names = st.one_of(st.binary(max_size=250).map(os.fsdecode), st.text(max_size=100))


@fuzzing(200)
@given(names)
def test_text_can_be_shown_and_stored_whatever_it_contains(name):
    shown = escape_text(name)
    assert not re.search(UNSAFE, shown)
    shown.encode("utf-8")
    if name.isascii() and name.isprintable():
        assert shown == name


@fuzzing(200)
@given(names, st.sampled_from(["utf-8", "ascii", "latin-1", "cp1252"]))
def test_json_keeps_every_name_in_every_encoding(name, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    text = to_json({"name": name}, stream=stream)
    stream.write(text)  # does not raise
    assert json.loads(text) == {"name": name}
    assert not re.search(UNSAFE, text)


@fuzzing(200)
@given(names)
def test_shortened_names_are_parts_of_file_names(name):
    short = shorten_name(name, MAX_STEM_BYTES)
    assert len(short.encode("utf-8")) <= MAX_STEM_BYTES
    assert not re.search(UNSAFE, short)
    assert "/" not in short


def test_letters_stay_readable_where_they_can():
    assert to_json("Müller 写真.jpg", stream=io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) == '"Müller 写真.jpg"'
    assert to_json("Müller", stream=io.TextIOWrapper(io.BytesIO(), encoding="latin-1")) == '"M\\u00fcller"'


def test_an_error_shows_no_command_of_the_terminal():
    assert str(ImageError("a\x1b[31m\udcff.jpg: no such file")) == r"a\x1b[31m\udcff.jpg: no such file"


@pytest.mark.parametrize("path", ["", Path(""), "a\0b"])
def test_a_path_that_names_nothing_is_refused(path):
    with pytest.raises(DataError, match=r"empty path|null character"):
        check_path(path, DataError)
