import io
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from matplotlib import get_data_path
from PIL import Image, ImageFont

from maskkit.datasets import AnnotatedPhoto, collage, describe, load_faces
from maskkit.exceptions import ImageError
from tests.helpers import wrap_texts

COLOURS = {"WithMask": (0, 200, 0), "WithoutMask": (200, 0, 200)}
TEXT_COLOURS = {"WithMask": "#0072B2", "WithoutMask": "#C44E00"}
GAP_PX, TEXT_PX = 9, 15  # of tiles of 112 px


def make_faces(folder, n=20, size=(40, 40)):
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True)
        for index in range(n):
            Image.new("RGB", size, colour).save(folder / label / f"{index}.png", dpi=(72, 72))
    return load_faces(folder)


def tile(sheet, row, column, tile_px=112):
    x = GAP_PX + column * (tile_px + GAP_PX)
    y = GAP_PX + row * (tile_px + GAP_PX + TEXT_PX)
    return sheet.crop((x, y, x + tile_px, y + tile_px))


def count_tiles(sheet, n_columns=6, n_rows=4):
    """Number of tiles by the colour in their middle."""
    middles = [tile(sheet, row, column).getpixel((56, 56)) for row in range(n_rows) for column in range(n_columns)]
    return {label: middles.count(colour) for label, colour in COLOURS.items()}


def text_colours(sheet, row, column):
    x = GAP_PX + column * (112 + GAP_PX)
    y = GAP_PX + row * (112 + GAP_PX + TEXT_PX) + 112
    colours = sheet.crop((x, y, x + 112, y + TEXT_PX)).getcolors(10_000)
    return {f"#{red:02X}{green:02X}{blue:02X}" for _, (red, green, blue) in colours}


def test_sheet_is_tiles_of_every_class_with_names_in_their_colours(tmp_path):
    sheet = collage(make_faces(tmp_path))
    assert sheet.mode == "RGB"
    assert sheet.size == (GAP_PX + 6 * (112 + GAP_PX), GAP_PX + 4 * (112 + GAP_PX + TEXT_PX))
    assert count_tiles(sheet) == {"WithMask": 12, "WithoutMask": 12}
    assert TEXT_COLOURS["WithMask"] in text_colours(sheet, 0, 0)
    assert TEXT_COLOURS["WithoutMask"] in text_colours(sheet, 3, 5)
    assert sheet.getpixel((0, 0)) == (255, 255, 255)


def test_classes_of_few_images_leave_their_places_to_others(tmp_path):
    faces = make_faces(tmp_path)
    keep = [index for index, label in enumerate(faces.labels) if label == "WithMask"]
    keep += [index for index, label in enumerate(faces.labels) if label == "WithoutMask"][:3]
    sheet = collage(([faces.paths[index] for index in keep], faces.labels[keep]))
    assert count_tiles(sheet) == {"WithMask": 20, "WithoutMask": 3}


def test_fewer_images_than_places_make_a_smaller_sheet(tmp_path):
    faces = make_faces(tmp_path, n=2)
    assert collage(faces, n_columns=3).size[1] == GAP_PX + 2 * (112 + GAP_PX + TEXT_PX)
    assert collage(faces, n_columns=9).size[0] == GAP_PX + 4 * (112 + GAP_PX)


def test_choice_is_even_and_seeded(tmp_path):
    labels = ["a"] * 50 + ["b"] * 5 + ["c"] * 50
    paths = [tmp_path / f"{index}.png" for index in range(len(labels))]
    for index, path in enumerate(paths):
        Image.new("RGB", (8, 8), (2 * index, 0, 0)).save(path)

    def choose(n_columns, n_rows, seed):
        """Return the index of the image in each tile, read from its colour."""
        sheet = collage((paths, labels), n_columns=n_columns, n_rows=n_rows, random_state=seed)
        tiles = [tile(sheet, row, column) for row in range(n_rows) for column in range(n_columns)]
        return [picture.getpixel((56, 56))[0] // 2 for picture in tiles]

    chosen = choose(5, 4, 0)
    assert [labels[index] for index in chosen] == ["a"] * 8 + ["b"] * 5 + ["c"] * 7
    assert len(set(chosen)) == 20
    assert chosen == choose(5, 4, 0)
    assert chosen != choose(5, 4, 1)
    assert [labels[index] for index in choose(2, 1, 0)] == ["a", "b"]


@pytest.mark.parametrize("size", [(40, 50), (300, 40), (1, 60)])
def test_tiles_keep_proportions_and_are_centred(tmp_path, size):
    sheet = collage(make_faces(tmp_path, size=size))
    assert count_tiles(sheet) == {"WithMask": 12, "WithoutMask": 12}
    corner = tile(sheet, 0, 0).getpixel((0, 0))
    assert corner == (COLOURS["WithMask"] if size == (40, 50) else (0xE6, 0xE6, 0xE6))


def test_faces_of_photos_are_cut_out_with_a_margin(tmp_path):
    picture = Image.new("RGB", (200, 100), "yellow")
    picture.paste("red", (100, 20, 140, 60))
    picture.paste("blue", (10, 20, 50, 60))
    picture.save(tmp_path / "photo.png")
    photo = AnnotatedPhoto(tmp_path / "photo.png", [[100, 20, 140, 60], [10, 20, 50, 60]], ["bare", "mask"])
    sheet = collage([photo, AnnotatedPhoto(tmp_path / "no face, never opened.png", [], [])])
    assert sheet.size[0] == GAP_PX + 2 * (112 + GAP_PX)
    pixels = np.asarray(tile(sheet, 0, 0)).astype(int)
    assert tuple(pixels[56, 56]) == (255, 0, 0)
    assert pixels[0, 0, 1] > 200
    red_px = (pixels[56, :, 1] < 128).sum()
    assert red_px / 112 == pytest.approx(1 / 1.15, abs=0.03)


def test_blur_hides_what_is_finer_than_an_eighth(tmp_path):
    checks = np.indices((96, 96)).sum(axis=0) // 3 % 2 * 255
    Image.fromarray(np.repeat(checks[:, :, None], 3, axis=2).astype(np.uint8)).save(tmp_path / "checks.png")
    faces = ([tmp_path / "checks.png"], ["WithMask"])
    assert np.asarray(tile(collage(faces), 0, 0)).std() > 80
    assert np.asarray(tile(collage(faces, blur=True), 0, 0)).std() < 10


def test_seed_decides_the_sheet(tmp_path):
    for index in range(30):
        Image.new("RGB", (8, 8), (index * 8, 0, 0)).save(tmp_path / f"{index}.png")
    faces = ([tmp_path / f"{index}.png" for index in range(30)], ["a", "b"] * 15)
    sheets = [collage(faces, random_state=seed).tobytes() for seed in (0, 0, 1)]
    assert sheets[0] == sheets[1] != sheets[2]


@pytest.mark.parametrize("tile_px", [32, 200])
def test_names_of_any_length_stay_inside_their_column(tmp_path, tile_px):
    names = ["mask_weared_incorrect", "MaskWornIncorrectlyAndFarTooLong", "w" * 300, "with mask 😷", "_", "口罩"]
    Image.new("RGB", (8, 8), "white").save(tmp_path / "a.png")
    sheet = collage(([tmp_path / "a.png"] * len(names), names), tile_px=tile_px)
    gap = max(2, tile_px // 12)
    pixels = np.asarray(sheet)
    for column in range(len(names)):
        left = gap + column * (tile_px + gap)
        assert (pixels[:, left : left + tile_px] != 255).any()
        assert (pixels[:, left - gap + 1 : left - 1] == 255).all()


def test_saved_sheet_has_no_metadata(tmp_path):
    picture = Image.new("RGB", (20, 20), "red")
    exif = Image.Exif()
    exif[0x010E] = "a secret"
    picture.save(tmp_path / "a.jpg", exif=exif, comment=b"a secret")
    sheet = collage(([tmp_path / "a.jpg"], ["WithMask"]))
    for form in ("PNG", "JPEG", "WEBP"):
        file = io.BytesIO()
        sheet.save(file, form)
        assert b"secret" not in file.getvalue()
        assert not Image.open(file).getexif()
    assert sheet.info == {}


def test_unreadable_image_is_named(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"broken\.png: cannot be read"):
        collage(([tmp_path / "broken.png"], ["WithMask"]))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_columns": 0}, "n_columns == 0, must be >= 1"),
        ({"n_rows": -1}, "n_rows == -1, must be >= 1"),
        ({"tile_px": 5}, "tile_px == 5, must be >= 32"),
        ({"tile_px": float("nan")}, "tile_px=nan is not a finite number"),
        ({"n_rows": float("inf")}, "n_rows=inf is not a finite number"),
    ],
)
def test_numbers_out_of_range(tmp_path, params, message):
    with pytest.raises(ValueError, match=message):
        collage(make_faces(tmp_path, n=1), **params)


def test_no_face_to_show(tmp_path):
    with pytest.raises(ValueError, match="faces contains no face; want at least one"):
        collage([AnnotatedPhoto(tmp_path / "p.png", [], [])])
    with pytest.raises(TypeError, match="faces is of type int"):
        collage(3)


# Charts


def test_chart_has_class_colours_and_no_metadata(tmp_path):
    path = describe(make_faces(tmp_path / "faces")).save_chart(tmp_path / "new" / "chart.png")
    with Image.open(path) as chart:
        assert chart.size == (1080, 504)
        assert not {"Software", "Author", "Creation Time"} & chart.info.keys()
        colours = {f"#{pixel[0]:02X}{pixel[1]:02X}{pixel[2]:02X}" for _, pixel in chart.getcolors(100_000)}
    assert set(TEXT_COLOURS.values()) <= colours


def test_chart_grows_with_the_number_of_bars(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    labels = [f"class {index}" for index in range(40)]
    path = describe(([tmp_path / "a.png"] * 40, labels)).save_chart(tmp_path / "chart.png")
    with Image.open(path) as chart:
        assert chart.size == (2400, 504)


@pytest.mark.parametrize("ending", ["png", "SVG", "pdf"])
def test_odd_names_are_drawn_as_they_are_in_every_format(tmp_path, ending):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    names = ["with mask 😷", "$\\frac$", "_hidden", "口罩"]
    path = describe(([tmp_path / "a.png"] * 4, names)).save_chart(tmp_path / f"chart.{ending}")
    data = path.read_bytes()
    assert len(data) > 5_000
    assert not any(word in data for word in (b"Matplotlib", b"CreationDate", b"<metadata>"))


def test_unknown_ending_of_a_chart(tmp_path):
    described = describe(make_faces(tmp_path / "faces", n=1))
    with pytest.raises(ValueError, match=r"the extension '\.docx' is unknown; use \.png, \.svg, \.pdf"):
        described.save_chart(tmp_path / "chart.docx")


def test_real_collages(data_dir):
    faces = load_faces(data_dir / "face-mask-12k")
    sheet = np.asarray(collage(faces.train))
    assert sheet.shape == (GAP_PX + 4 * (112 + GAP_PX + TEXT_PX), GAP_PX + 6 * (112 + GAP_PX), 3)
    assert sheet.std() > 40


# Sheets of a given size, captions and shortened names


def all_colours(sheet):
    return {colour for _, colour in sheet.getcolors(1_000_000)}


@pytest.mark.parametrize(
    ("n_columns", "n_rows", "size"),
    [
        (25, 3, (600, 200)),
        (15, 5, (600, 200)),
        (5, 15, (200, 600)),
        (75, 1, (601, 33)),
        (1, 1, (7, 9)),
        (9, 9, (999, 90)),
    ],
)
def test_sheet_has_the_size_that_is_asked_for(tmp_path, n_columns, n_rows, size):
    faces = make_faces(tmp_path, n=40)
    sheet = collage(faces, n_columns=n_columns, n_rows=n_rows, size=size, captions=False)
    assert sheet.size == size
    assert set(list(COLOURS.values())[: n_columns * n_rows]) <= all_colours(sheet)


def test_75_images_of_the_origin_are_all_shown(tmp_path):
    """25 x 3 tiles, 75 in all, on 600 x 200 pixels, with names and without."""
    paths = []
    for index in range(75):
        paths.append(tmp_path / f"{index}.png")
        Image.new("RGB", (40, 40), (index, 100, 200)).save(paths[-1])
    faces = (paths, ["WithMask"] * 38 + ["WithoutMask"] * 37)
    for captions in (True, False):
        sheet = collage(faces, n_columns=25, n_rows=3, size=(600, 200), captions=captions)
        assert sheet.size == (600, 200)
        assert {(index, 100, 200) for index in range(75)} <= all_colours(sheet)


@pytest.mark.parametrize("size", [(600, 200), (300, 300), (1000, 100)])
def test_tiles_of_a_sheet_do_not_overlap_and_use_its_room(tmp_path, size):
    sheet = np.asarray(collage(make_faces(tmp_path, n=12), n_columns=6, n_rows=4, size=size, captions=False))
    is_tile = (sheet != 255).any(axis=2)
    side = min(size[0] // 6, size[1] // 4)
    assert is_tile.sum() >= 24 * (0.85 * side) ** 2
    assert is_tile.sum() <= 24 * side**2


def test_captions_can_be_left_out(tmp_path):
    faces = make_faces(tmp_path)
    sheet = collage(faces, captions=False)
    assert sheet.size == (GAP_PX + 6 * (112 + GAP_PX), GAP_PX + 4 * (112 + GAP_PX))
    assert all_colours(sheet) <= {*COLOURS.values(), (255, 255, 255)}


@pytest.mark.parametrize(
    "size", [(0, 10), (10,), (-5, 5), "600x200", (600.5, 200), (np.nan, 9), (np.inf, 9), 600, (None, 5)]
)
def test_wrong_size_raises(tmp_path, size):
    with pytest.raises(ValueError, match=r"size=.* is no size; want \(width, height\) in pixels"):
        collage(make_faces(tmp_path), size=size)


@pytest.mark.parametrize("size", [[300, 90], (300.0, 90.0), np.array([300, 90]), (np.int64(300), np.float32(90))])
def test_numbers_of_any_kind_are_a_size(tmp_path, size):
    assert collage(make_faces(tmp_path), size=size, captions=False).size == (300, 90)


def test_size_without_room_raises(tmp_path):
    with pytest.raises(ValueError, match=r"size=\(20, 20\) is too small for 6 x 4 faces and their captions"):
        collage(make_faces(tmp_path), size=(20, 20))
    with pytest.raises(ValueError, match=r"size=\(5, 3\) is too small for 6 x 4 faces; want"):
        collage(make_faces(tmp_path / "2"), size=(5, 3), captions=False)


def find_font(size_px):
    return ImageFont.truetype(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size_px)


NAMES = [
    ("WithMask", "WithoutMask"),
    ("with_mask", "without_mask", "mask_weared_incorrect"),
    ("mask worn correctly", "mask worn incorrectly", "mask"),
    ("A" * 30 + "1", "A" * 30 + "2"),
    ("class_10", "class_11", "class_1"),
]


@pytest.mark.parametrize("width_px", [25, 32, 40, 60, 112])
@pytest.mark.parametrize("names", NAMES, ids=lambda names: names[0][:9])
def test_shortened_names_keep_their_difference(names, width_px):
    lines = wrap_texts(names, find_font(9), width_px)
    shown = {name: "".join(letter for letter in "".join(lines[name]) if letter.isalnum()) for name in names}
    assert len(set(shown.values())) == len(names)
    for name, other in permutations(names, 2):
        if lines[name][-1].endswith("…") and not name.startswith(other):
            assert not shown[other].startswith(shown[name])
    assert all(find_font(9).getlength(line) <= width_px for name in names for line in lines[name])


def test_names_that_fit_are_not_shortened():
    assert wrap_texts(("WithMask", "WithoutMask"), find_font(12), 112) == {
        "WithMask": ["WithMask"],
        "WithoutMask": ["WithoutMask"],
    }
