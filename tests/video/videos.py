"""Small videos, and scripted predictions for their frames."""

from dataclasses import replace
from types import SimpleNamespace

import av
import numpy as np
from PIL import Image
from sklearn.base import BaseEstimator

from maskkit import FaceResult, PhotoResult

CLASSES = ("with_mask", "without_mask")


def write_video(
    path, n_frames=25, *, size=(96, 64), rate=25, codec="libx264", pictures=None,
    rotation=0, hflip=False, vflip=False, matrix=None, aspect=None,
):  # fmt: skip
    """Write a video of a square that moves to the right, or of given pictures, with given display properties."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if rotation or hflip or vflip:
            stream.set_display_rotation(rotation, hflip=hflip, vflip=vflip)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for picture in pictures if pictures is not None else moving_square(n_frames, size):
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def moving_square(n_frames, size):
    for index in range(n_frames):
        picture = Image.new("RGB", size, "#404040")
        picture.paste("#f0f0f0", (index, 10, index + 20, 30))
        yield np.asarray(picture)


def read_video(path):
    """Return the frames of a video as arrays, and their times."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.to_ndarray(format="rgb24") for frame in frames], [frame.time for frame in frames]


def face(box, masked, size=None):
    """Return a face that wears a mask with this probability."""
    probabilities = dict(zip(CLASSES, (masked, 1 - masked), strict=True))
    label = max(probabilities, key=probabilities.get)
    return FaceResult(box, 1.0, label, probabilities[label], probabilities)


class Script:
    """A `read_photo` that returns the scripted faces of each frame in turn."""

    def __init__(self, *frames):
        self.frames = list(frames)
        self.n_calls = 0

    def __call__(self, image):
        faces = self.frames[min(self.n_calls, len(self.frames) - 1)]
        self.n_calls += 1
        if isinstance(faces, Exception):
            raise faces
        height, width = image.shape[:2]
        return PhotoResult(tuple(faces), image, "frame", (width, height), "scripted", "scripted")


class ScriptedClassifier(BaseEstimator):
    """A fitted classifier whose predictor follows a script, and another one near tracked faces."""

    def __init__(self, script=None, *, near_script=None, threshold=0.7, min_size_px=0, cache=None):
        self.script = script
        self.near_script = near_script
        self.threshold = threshold
        self.min_size_px = min_size_px
        self.max_faces = None
        self.cache = cache
        self.classes_ = list(CLASSES)
        self.is_fitted_ = True

    def fit(self, X, y):
        return self

    @property
    def predictor_(self):
        rule = SimpleNamespace(threshold=self.threshold, min_size_px=self.min_size_px)
        detector = SimpleNamespace() if self.near_script is None else SimpleNamespace(detect_near=None)
        predictor = SimpleNamespace(rule=rule, detector=detector, detector_name="scripted")
        predictor.limit_scales = lambda max_pixels: predictor

        def limit_faces(max_faces):
            self.max_faces = max_faces
            return predictor

        predictor.limit_faces = limit_faces
        predictor.find_faces = self.find_faces
        predictor.classify_faces = self.classify_faces
        return predictor

    def find_faces(self, image, near=None):
        photo = self.script(image) if near is None else self.near_script(image)
        if near is not None:
            photo = replace(photo, faces=tuple(face for face in photo if _is_near(face.box, near)))
        boxes = [face.box for face in photo]
        left_out = () if self.max_faces is None else tuple(boxes[self.max_faces :])
        photo = replace(photo, faces=photo.faces[: self.max_faces], left_out=left_out)
        return SimpleNamespace(photo=photo, boxes=boxes[: self.max_faces], left_out=left_out)

    def classify_faces(self, found, known=None):
        faces = zip(found.photo, known or [None] * len(found.photo), strict=True)
        return replace(
            found.photo, faces=tuple(new if old is None else replace(old, box=new.box) for new, old in faces)
        )


def _is_near(box, others):
    return any(np.abs(np.subtract(box, other)).max() <= 10 for other in others)


def walk(n_frames, masked=0.9, *, y=10, step=2):
    """Return the faces of frames in which one face moves to the right."""
    return [[face((index * step, y, index * step + 20, y + 20), masked)] for index in range(n_frames)]
