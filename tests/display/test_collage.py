import io

import numpy as np
import pytest
from PIL import Image

from maskkit.datasets import AnnotatedPhoto, collage, describe, load_faces
from maskkit.exceptions import ImageError

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
        ({"n_columns": 0}, "n_columns=0 is too small; want at least 1"),
        ({"n_rows": -1}, "n_rows=-1 is too small; want at least 1"),
        ({"tile_px": 5}, "tile_px=5 is too small; want at least 32"),
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
