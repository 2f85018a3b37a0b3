import io
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from maskkit._display.tables import Estimate, Table, format_cell, format_percent, to_html

ESTIMATE = Estimate(0.978, 0.971, 0.984, n=2500)
NOTHING = Estimate(float("nan"), 0.0, 1.0, n=0)


def show(table, width=80):
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("WithMask", "WithMask"),
        (12000, "12,000"),
        (np.int64(12000), "12,000"),
        (-1, "-1"),
        (0.12345, "0.123"),
        (np.float32(0.5), "0.500"),
        (float("nan"), "-"),
        (np.float32("nan"), "-"),
        (None, "-"),
        (ESTIMATE, "0.978 [0.971, 0.984]"),
        (NOTHING, "-"),
    ],
)
def test_format_cell(cell, text):
    assert format_cell(cell) == text


def test_nearly_sure_is_not_called_sure():
    assert [format_percent(value) for value in (0.5, 0.994, 0.996, 1.0)] == ["50%", "99%", ">99%", "100%"]


def test_numbers_go_right_and_words_left():
    lines = show(Table("Counts", ("class", "images"), (("a", 1), ("b", 12000)))).splitlines()
    heading, first, second = (next(line for line in lines if word in line) for word in ("class", " 1 ", "12,000"))
    assert heading.index("class") == first.index("a") == second.index("b")
    assert heading.rstrip().endswith("images")
    assert len(heading.rstrip()) == len(first.rstrip()) == len(second.rstrip())


def test_title_and_note_are_shown_whole():
    text = show(Table("A title longer than the table", ("a",), ((1,),), note="And a note of more words."))
    assert text.splitlines()[0].rstrip() == "A title longer than the table"
    assert "And a note of more words." in text


def test_markup_in_words_is_shown_as_it_is():
    assert "[red]odd[/red]" in show(Table("[b]t[/b]", ("[i]c[/i]",), (("[red]odd[/red]",),)))


def test_intervals_go_below_their_values_where_room_is_short():
    columns = ("class", "precision", "recall", "F1", "average precision of them all")
    text = show(Table("Wide", columns, (("with_mask", ESTIMATE, ESTIMATE, ESTIMATE, NOTHING),)))
    assert max(map(len, text.splitlines())) <= 80
    assert "0.978 [0.971" not in text
    assert text.count("[0.971, 0.984]") == 3


@pytest.mark.parametrize("n_columns", [2, 9, 20, 60])
def test_every_figure_fits_80_columns_whatever_the_number_of_columns(n_columns):
    numbers = list(range(10_000, 10_000 + n_columns))
    table = Table(
        "Matrix",
        ("true", *(f"class_{index}" for index in range(n_columns))),
        (("a class", *numbers),),
        "A note.",
    )
    text = show(table)
    assert max(map(len, text.splitlines())) <= 80
    assert [word for word in text.split() if "," in word] == [f"{number:,}" for number in numbers]
    assert text.count("Matrix") == text.count("A note.") == 1


def test_long_words_are_folded_and_not_cut():
    word = "w" * 200
    text = show(Table("Long", ("name", "n"), ((word, 1234),)))
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("w") == 200
    assert "1,234" in text


def test_names_of_classes_break_after_underscores():
    names = ("mask_weared_incorrect", "a_class_with_quite_a_long_name_indeed", "with_mask", "without_mask", "other")
    text = show(Table("Confusion", ("truth", *names), tuple((name, *range(5)) for name in names)))
    assert max(map(len, text.splitlines())) <= 80
    for pieces in (("mask_weared_", "incorrect"), ("a_class_", "with_quite_", "a_long_name_", "indeed")):
        assert all(piece in text.split() for piece in pieces)
    assert "with_mask" in text.split()


def test_wide_letters_fit_too():
    name = "口罩佩戴正确" * 12
    text = show(Table("Names", ("class", "images", "share"), ((name, 12_000, ESTIMATE),)))
    assert max(map(cell_len, text.splitlines())) <= 80
    assert sum(map(text.count, "口")) == 12
    assert "12,000" in text


def test_empty_table_shows_its_headings():
    text = show(Table("Empty", ("class", "images"), ()))
    assert "class" in text
    assert "images" in text


class Texts(HTMLParser):
    def __init__(self):
        super().__init__()
        self.texts = []
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        if data.strip():
            self.texts.append(data)


def test_html_holds_every_cell_escaped():
    table = Table("<b>title</b>", ("a & b", "n"), (("<script>", 1200), ("x", None)), note="<i>")
    parser = Texts()
    parser.feed(to_html(table))
    assert parser.texts == ["<b>title</b>", "a & b", "n", "<script>", "1,200", "x", "-", "<i>"]
    assert not {"b", "i", "script"} & set(parser.tags)
    assert parser.tags.count("td") == 5
    assert to_html(table).count('<td style="text-align: right">') == 2
    assert "<caption" not in to_html(Table("", ("a",), ((1,),)))


def test_html_names_no_colour_so_that_any_page_can_show_it():
    html = to_html(Table("t", ("a", "b"), (("x", 1),), note="n"))
    assert not re.search(r"#[0-9a-f]{3}|rgb|background|white|black", html.replace("white-space", ""))


def test_html_without_a_note_has_no_foot():
    assert "tfoot" not in to_html(Table("t", ("a",), ((1,),)))


def test_importing_needs_no_rich():
    code = "import sys, maskkit._display.tables; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_tables_take_the_width_of_the_terminal():
    names = tuple(f"column {number}" for number in range(14))
    table = Table("Wide", ("class", *names), tuple((f"class {row}", *[0.5] * 14) for row in range(3)))
    assert show(table, 160).count("class 0") == 1
    assert show(table, 80).count("class 0") > 1
    for width in (40, 60, 80, 100, 140, 160):
        lines = show(table, width).splitlines()
        assert max(map(cell_len, lines)) <= width
    assert max(map(cell_len, show(table, 400).rstrip().splitlines())) <= 400


def test_long_notes_and_names_use_the_width_too():
    table = Table("A", ("name", "value [95 % interval]"), (("word " * 20, ESTIMATE),), note="letter " * 30)
    heights = [len(show(table, width).splitlines()) for width in (50, 80, 140)]
    assert heights == sorted(heights, reverse=True)
    assert heights[0] > heights[1] > heights[2]
