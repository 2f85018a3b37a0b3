"""Faces augmented in batches with PyTorch are distributed as those that Pillow augments."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageFilter

from maskkit.testing import make_faces
from tests.conftest import make_classifier
from tests.helpers import N_DRAWS, Preprocess, augment_face, augment_faces

CPU = torch.device("cpu")
N_VIEWS = 600


def make_portrait():
    """A drawn face of 60 x 80 px with a magenta square left of the center, a dark quarter and stripes of 3 px."""
    face = make_faces(1, size_px=80)[0][0][:, 10:70].copy()
    face[:40, :30] //= 2
    face[60:, ::6] = face[60:, 1::6] = face[60:, 2::6] = 0
    face[30:44, 8:22] = (255, 0, 255)
    return face


def measure(views):
    """What each of the views (n, 48, 48, 3) looks like."""
    views = views.astype(np.float64)
    gray = views @ (0.299, 0.587, 0.114)
    saturation = views.max(-1) - views.min(-1)
    is_gray = saturation.max((1, 2)) < 4
    marks = ((views[..., 0] + views[..., 2]) / 2 - views[..., 1] - 60).clip(0)[~is_gray]
    mass = marks.sum((1, 2)) + 1e-9
    rows, columns = np.mgrid[:48, :48]
    y, x = ((marks * places).sum((1, 2)) / mass for places in (rows, columns))
    seen = mass > 1
    return {
        "brightness": gray.mean((1, 2)),
        "contrast": gray.std((1, 2)),
        "saturation": saturation.mean((1, 2)),
        "detail": np.log(np.abs(np.diff(gray, axis=2)).mean((1, 2)) + 0.1),
        "steps": np.log(np.abs(np.diff(gray, n=2, axis=1)).mean((1, 2)) + 0.1),
        "red": views[..., 0].mean((1, 2)),
        "blue": views[..., 2].mean((1, 2)),
        "corner": views[:, :4, :4].std((1, 2, 3)),
        "gray": is_gray.astype(float),
        "height of the mark": y[seen],
        "distance of the mark": np.abs(x[seen] - 23.5),
        "side of the mark": (x[seen] < 23.5).astype(float),
        "size of the mark": np.sqrt((marks[seen] > 20).sum((1, 2))),
    }


@pytest.fixture(scope="module")
def looks():
    """The measures of many views of one face, by Pillow and by PyTorch."""
    face = make_portrait()
    views = [augment_face(face, np.random.default_rng((1, i))) for i in range(N_VIEWS)]
    pillow = np.stack([np.asarray(Image.fromarray(view).resize((48, 48), Image.Resampling.BILINEAR)) for view in views])
    draws = np.random.default_rng(2).random((N_VIEWS, N_DRAWS))
    parts = [augment_faces([face] * 100, part, 48, CPU) for part in np.split(draws, N_VIEWS // 100)]
    return measure(pillow), measure(torch.cat(parts).permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize("look", measure(np.zeros((1, 48, 48, 3))))
def test_views_look_as_those_of_pillow(looks, look):
    """Means differ by less than three standard errors, spreads by less than a sixth, the share of gray ones by 5 %."""
    pillow, batch = (measures[look] for measures in looks)
    spread = np.hypot(pillow.std(), batch.std())
    assert abs(pillow.mean() - batch.mean()) < 3 * spread / np.sqrt(len(pillow))
    if set(np.unique(pillow)) > {0.0, 1.0}:
        assert abs(np.log(batch.std() / pillow.std())) < 1 / 6


def apply(monkeypatch, face, **changes):
    """The face after some changes alone, at its own width of 48 px."""
    size = np.array([face.shape[:2]], dtype=float)
    neutral = {"size": size, "zoom": 1, "offset": (0, 0), "has noise": 0, "noise color": (0, 0, 0), "noise": 0}
    neutral |= {"noise offset": (0, 0), "cos": 1, "sin": 0, "mirror": 1, "shift": (0, 0), "brightness": 1}
    neutral |= {"contrast": 1, "color": 1, "color kept": 1, "sigma": 0.01, "small": size, "shrink kernel": 1}
    neutral |= {"grow kernel": 1, "is compressed": 0, "quality": 50}
    rows = {name: np.reshape(value, (1, -1)) for name, value in (neutral | changes).items()}
    monkeypatch.setattr("maskkit.augment._camera_batch._choose_changes", lambda draws, sizes: rows)
    return augment_faces([face], np.zeros((1, N_DRAWS)), 48, CPU)[0].permute(1, 2, 0).numpy()


def compress(picture, quality):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


def rotate(picture):
    """20 degrees, 1.25 times as large, mirrored and shifted, all around the center of 48 px."""
    cos, sin = 0.8 * np.cos(np.radians(20)), 0.8 * np.sin(np.radians(20))
    rows = (-cos, -sin, 24 + 3 + 24 * (cos + sin), -sin, cos, 24 - 2 + 24 * (sin - cos))
    return picture.transform((48, 48), Image.Transform.AFFINE, rows, Image.Resampling.BILINEAR)


def zoom_out(picture):
    large = np.pad(np.asarray(picture), ((12, 36), (30, 18), (0, 0)), mode="edge")
    return Image.fromarray(large).resize((48, 48), Image.Resampling.BILINEAR)


COS_SIN = {"cos": 0.8 * np.cos(np.radians(20)), "sin": 0.8 * np.sin(np.radians(20))}
KERNELS = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, lambda picture: picture),
        ({"zoom": 2, "offset": (12, 30)}, zoom_out),
        ({"mirror": -1, "shift": (-2, 3), **COS_SIN}, rotate),
        ({"brightness": 1.4}, lambda picture: ImageEnhance.Brightness(picture).enhance(1.4)),
        ({"contrast": 0.6}, lambda picture: ImageEnhance.Contrast(picture).enhance(0.6)),
        ({"color": 1.5}, lambda picture: ImageEnhance.Color(picture).enhance(1.5)),
        ({"color kept": 0}, lambda picture: picture.convert("L").convert("RGB")),
        ({"sigma": 2}, lambda picture: picture.filter(ImageFilter.GaussianBlur(2))),
        ({"is compressed": 1, "quality": 25}, lambda picture: compress(picture, 25)),
        ({"is compressed": 1, "quality": 90}, lambda picture: compress(picture, 90)),
        *(
            (
                {"small": (15, 13), "shrink kernel": i, "grow kernel": 3 - i},
                lambda picture, i=i: picture.resize((13, 15), KERNELS[i]).resize((48, 48), KERNELS[3 - i]),
            )
            for i in range(4)
        ),
    ],
)
def test_each_change_is_that_of_pillow(monkeypatch, changes, wanted):
    face = np.asarray(Image.fromarray(make_portrait()).resize((48, 48)))
    expected = np.asarray(wanted(Image.fromarray(face)), dtype=float)
    # Pillow leaves black what lies outside the image after a rotation, and rounds after each step.
    errors = np.abs(apply(monkeypatch, face, **changes) - expected)[expected.any(axis=-1)]
    assert errors.mean() < 1.2
    assert not changes or np.abs(face - expected).mean() > 4


def test_a_face_is_augmented_alike_alone_and_among_larger_ones():
    faces = [make_portrait(), *make_faces(2, size_px=150)[0], make_portrait()[:31, :17]]
    draws = np.random.default_rng(3).random((4, N_DRAWS))
    together = augment_faces(faces, draws, 48, CPU)
    alone = torch.cat([augment_faces([face], draws[[i]], 48, CPU) for i, face in enumerate(faces)])
    # Where a coefficient of JPEG lies between two values, a pixel may differ.
    assert (together - alone).abs().mean() < 0.05
    assert together.shape == (4, 3, 48, 48)
    assert together.std((1, 2, 3)).min() > 5


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 40, 3), (192, 192, 3)])
def test_any_size_is_augmented(shape):
    face = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    views = augment_faces([face] * 20, np.random.default_rng(0).random((20, N_DRAWS)), 32, CPU)
    assert torch.isfinite(views).all()
    assert 0 <= views.min() <= views.max() <= 255


@pytest.mark.parametrize("augment", ["auto", "device"])
def test_a_model_learns_from_it(augment):
    (faces, labels), (others, wanted) = (
        make_faces(60, classes=("blue", "bare"), size_px=32, random_state=i) for i in (0, 1)
    )
    settings = {"fine_tune": True, "epochs": 12, "batch_size": 12, "learning_rate": 3e-3, "find_face": False}
    model = make_classifier(augment=augment, **settings).fit(faces, labels)
    assert model.score(others, wanted) >= 0.97


def test_images_of_a_batch_depend_on_seed_epoch_and_image_alone(monkeypatch):
    """So processes that share batches, and batches of another size, train on the same ones."""
    faces, labels = make_faces(12, classes=("blue", "bare"), size_px=32)
    seen = []
    normalize_ = Preprocess.normalize_
    monkeypatch.setattr(
        Preprocess,
        "normalize_",
        lambda self, pixels: seen.extend(pixels.round().long().sum((1, 2, 3)).tolist()) or normalize_(self, pixels),
    )
    sums = []
    for batch_size, seed in ((12, 0), (4, 0), (12, 1)):
        make_classifier(fine_tune=True, augment="device", epochs=2, batch_size=batch_size, random_state=seed).fit(
            faces, labels
        )
        sums.append([sorted(seen[:12]), sorted(seen[12:24])])
        seen.clear()
    assert sums[0] == sums[1]
    assert sums[0][0] != sums[0][1]
    assert sums[0] != sums[2]


def test_validation_images_are_those_of_prediction(monkeypatch):
    """They are neither augmented nor shrunk before they are resized."""
    large = make_faces(8, size_px=300)
    seen = []
    normalize = Preprocess.normalize
    monkeypatch.setattr(
        Preprocess,
        "normalize",
        lambda self, images, device: (
            (isinstance(images, np.ndarray) and seen.extend(images)) or normalize(self, images, device)
        ),
    )
    model = make_classifier(
        fine_tune=True, augment="device", epochs=1, batch_size=8, find_face=False, validation_data=large
    )
    model.fit(*make_faces(8))
    wanted = [model.embedder_.preprocess_.load(image).tobytes() for image in large[0]]
    assert wanted == [image.tobytes() for image in seen][: len(wanted)]
