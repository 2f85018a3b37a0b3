"""A layer over a face, in coordinates of the face."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from maskkit._images.load import RgbImage
from maskkit.augment._landmarks import TEMPLATE, vector

Plane = NDArray[np.float32]

# Side of the layer in pixels: about the default input size, and small enough for a training loop.
LAYER_PX = 160

# Half the side of the painted area, as a multiple of the spread of the landmarks: it covers a tight crop.
REACH = 2.2

# Half the width of a face, from its middle to the front of the ears, and the distance from mouth to chin. The unit is
# the distance between the eyes, as seen from the front. Proportions from Farkas 1994, "Anthropometry of the Head and
# Face": eyes 63 mm apart, faces 139 mm wide.
HALF_WIDTH = 1.08
CHIN = 0.72


class Canvas:
    """The painted area of a picture, with the position of each pixel on the face.

    `x` (h, w) is the position across the face: -1 and 1 at its outline at the height of the mouth, 0 on the line from
    the bridge of the nose to the chin. `y` (h, w) is the position down the face: 0 at the eyes, in units of the
    distance between them. `mouth` and `chin` are the `y` of mouth and chin; `pixel` is the side of a pixel in that
    unit. `light` (h, w) is the relative brightness of the face, 1 on average, which is applied to painted objects.
    """

    def __init__(self, image: RgbImage, landmarks: ArrayLike | None):
        height, width = image.shape[:2]
        points = TEMPLATE * vector(width, height) if landmarks is None else np.asarray(landmarks, np.float32)
        if points.shape != (5, 2) or not np.isfinite(points).all():
            raise ValueError(f"landmarks have shape {points.shape}; want five finite points of shape (5, 2), or None.")
        # Only the surroundings of the face are painted, so that the time does not depend on the size of the photo.
        spread = float(np.ptp(points, axis=0).max())
        center = points.mean(axis=0)
        left, top = (max(0, int(edge)) for edge in center - REACH * spread)
        right, bottom = (int(edge) + 1 for edge in center + REACH * spread)
        self.photo, self.area = image, (slice(top, bottom), slice(left, right))
        image = np.ascontiguousarray(image[self.area])
        if image.size == 0:
            raise ValueError(f"landmarks lie outside the image of {width} x {height} px.")
        points = points - vector(left, top)
        height, width = image.shape[:2]
        self.image = image
        scale = LAYER_PX / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
        self._set_coordinates(points * vector(size[0] / width, size[1] / height), size)
        self.small = small
        self.light = _light(small)

    def _set_coordinates(self, points: Plane, size: tuple[int, int]) -> None:
        left_eye, right_eye, nose, left_mouth, right_mouth = points
        eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
        across: Plane = right_eye - left_eye
        eye_distance = float(np.hypot(*across))
        down = mouth - eyes
        # In a profile, the eyes appear closer together, but the distance from eyes to mouth stays the same. From the
        # front, it is 1.05 times the distance between the eyes.
        unit = max(eye_distance, float(np.hypot(*down)) / 1.05, 1.0)
        axis = across / max(eye_distance, 1e-3) if eye_distance > 0.2 * unit else vector(down[1], -down[0]) / unit
        axis = axis / max(float(np.hypot(*axis)), 1e-6)
        normal = vector(-axis[1], axis[0])
        if normal @ down < 0:
            normal = -normal
        # Landmarks of small or hidden faces may coincide, so all positions are limited to those of real faces.
        self.mouth = max(0.7, float(normal @ down) / unit)
        self.chin = self.mouth + CHIN
        nose_y = float(np.clip(normal @ (nose - eyes) / unit, 0.2, self.mouth - 0.1))
        nose_x = float(np.clip(axis @ (nose - eyes) / unit, -0.6, 0.6))
        mouth_x = float(np.clip(axis @ down / unit, -0.6, 0.6))
        columns, rows = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
        from_eyes_x, from_eyes_y = columns + 0.5 - eyes[0], rows + 0.5 - eyes[1]
        self.y = (from_eyes_x * normal[0] + from_eyes_y * normal[1]) / unit
        middle = np.interp(self.y, [0, nose_y, self.mouth, self.chin], [0, 0.7 * nose_x, mouth_x, mouth_x])
        offset = (from_eyes_x * axis[0] + from_eyes_y * axis[1]) / unit - middle.astype(np.float32)
        # A head that is turned aside shows less of the side that it turns to.
        turn = float(np.clip(1.4 * nose_x, -0.75, 0.75))
        widths = np.where(offset < 0, HALF_WIDTH * (1 + turn), HALF_WIDTH * (1 - turn))
        self.x = (offset / np.clip(widths, 0.25 * HALF_WIDTH, 1.3 * HALF_WIDTH)).astype(np.float32)
        self.pixel = 1 / unit

    def between(self, values: Plane, low: Any = -np.inf, high: Any = np.inf) -> Plane:
        """Return 1 where values lie between the limits, 0 outside, and a smooth transition at the edges."""
        # Without a transition of about a pixel, edges would show steps, which photos do not have.
        width = 1.5 * self.pixel
        return np.clip(np.minimum(values - low, high - values) / width + 0.5, 0, 1)

    def blend(self, color: Plane, alpha: Plane, *, shadow: float = 0.0) -> RgbImage:
        """Blend a color (h, w, 3), 0 to 255, over the image with opacity alpha (h, w), and a soft shadow around it."""
        if shadow:
            around = _blur(alpha, 4)
            dark = (1 - alpha) * np.clip(around * shadow, 0, 1)
            # The shadow is a black layer of low opacity behind the object. Both layers are combined into one.
            total = alpha + dark
            color = color * (alpha / np.maximum(total, 1e-6))[..., None]
            alpha = total
        height, width = self.image.shape[:2]
        layer = np.dstack([np.clip(color, 0, 255), 255 * np.clip(alpha, 0, 1)]).astype(np.uint8)
        resized = Image.fromarray(layer, "RGBA").resize((width, height), Image.Resampling.BICUBIC)
        painted = Image.fromarray(self.image).convert("RGBA")
        photo = self.photo.copy()
        photo[self.area] = np.asarray(Image.alpha_composite(painted, resized).convert("RGB"))
        return photo


def turn(x: Plane, y: Plane, angle: float) -> tuple[Plane, Plane]:
    """Return coordinates along axes that are rotated by an angle, in radians."""
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x


def _light(small: Plane) -> Plane:
    luminance = small @ vector(0.299, 0.587, 0.114)  # ITU-R BT.601
    smooth = _blur(luminance, 32)
    relative = smooth / max(float(smooth.mean()), 1.0)
    return np.sqrt(np.clip(relative, 0.3, 2.0)).astype(np.float32)


def _blur(plane: Plane, radius: float) -> Plane:
    """Smooth a plane by shrinking and enlarging it."""
    height, width = plane.shape
    size = (max(2, round(width / radius)), max(2, round(height / radius)))
    small = Image.fromarray(plane.astype(np.float32)).resize(size, Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
