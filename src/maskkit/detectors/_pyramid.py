"""Scales and tiles in which an image is searched, and merging of the faces found in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskkit._images.boxes import share_of_smaller
from maskkit._images.load import RgbImage
from maskkit.detectors._base import Faces

# At the small and at the usual scale, the largest face that the picture can hold has these sizes in pixels. The network
# was trained on faces of 6 to 520 px.
SMALL_PX, USUAL_PX = 240, 768
# Enlarged more, small pictures only get blurred.
MAX_ENLARGEMENT = 3.0
# A face is at most this much longer than the shorter side of the picture: a panorama has no face as long as itself.
MAX_FACE_ASPECT = 1.5
# Larger scales follow while the picture has this much more detail than the last one shows.
MORE_DETAIL = 1.25

# Tiles bound memory, to about 300 MB for one. A face in the overlap is whole in one of the two tiles.
TILE_PX, OVERLAP_PX = 1280, 256
# A picture that is shrunk by more than twice this factor is first reduced by averaging, which looks the same and is
# faster.
REDUCING_GAP = 3.0

# A face whose place is roughly known is searched for in a square of this many of its longer sides, scaled to so many
# pixels: of 719 faces of photos, whose boxes were moved by up to a quarter of their side, 92 % were found at 96 px,
# 91 % at 128 px and 90 % at 160 px.
REGION_SIDES, REGION_PX = 3.0, 96

# Sizes in a scaled picture, in pixels, between which the network is trusted. Outside, the score counts less.
BEST_PX = (12.0, 320.0)
# Two boxes show one face if the smaller lies in the larger one by more than this share.
CONTAINED = 0.5


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of an image as it is searched: its pixels, and where they lie in the image.

    ``point / scale_xy + offset_xy`` turns pixels of the tile into pixels of the image.
    """

    pixels: RgbImage
    scale_xy: NDArray[np.float32]
    offset_xy: NDArray[np.float32]


def choose_long_sides(height_px: int, width_px: int, max_pixels: int) -> list[int]:
    """Return the long sides, in pixels, at which an image is searched, from coarse to fine.

    The small scale finds faces that fill the picture, the usual one those of photos, and larger ones those of pictures
    that have more detail. A scaled image has about `max_pixels` at most.
    """
    long_side = max(height_px, width_px)
    largest_face = largest_face_px(height_px, width_px)
    limit = (max_pixels / (height_px * width_px)) ** 0.5
    scales = [min(SMALL_PX / largest_face, limit)]
    scales.append(min(USUAL_PX / largest_face, MAX_ENLARGEMENT, limit))
    step = USUAL_PX / SMALL_PX
    while min(1.0, limit) > scales[-1] * MORE_DETAIL:
        scales.append(min(1.0, limit, scales[-1] * step))
    return sorted({max(1, round(scale * long_side)) for scale in scales})


def largest_face_px(height_px: int, width_px: int) -> float:
    """Return the largest size of a face in an image."""
    return min(max(height_px, width_px), MAX_FACE_ASPECT * min(height_px, width_px))


def cut_tiles(image: RgbImage, long_side_px: int) -> Iterator[Tile]:
    """Scale an image to a long side and cut it into tiles that overlap, or one tile if it is small."""
    height, width = image.shape[:2]
    scale = long_side_px / max(height, width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    scale_xy = np.array([new_width / width, new_height / height], np.float32)
    picture = Image.fromarray(image)
    for top, bottom in _split(new_height):
        for left, right in _split(new_width):
            box = (left / scale_xy[0], top / scale_xy[1], right / scale_xy[0], bottom / scale_xy[1])
            source = tuple(min(float(edge), limit) for edge, limit in zip(box, (width, height) * 2, strict=True))
            pixels = _scale_part(picture, source, (right - left, bottom - top))
            yield Tile(pixels, scale_xy, np.array(box[:2], np.float32))


def cut_regions(image: RgbImage, boxes_xyxy: NDArray[np.float32]) -> Iterator[Tile]:
    """Cut a square around each box that lies in the image, and scale it so that all such faces have one size."""
    limit = np.array(image.shape[1::-1], np.float32)
    picture = Image.fromarray(image)
    for start, end in np.reshape(boxes_xyxy, (-1, 2, 2)):
        side = REGION_SIDES * (end - start).max()
        corners = ((start + end - side) / 2).clip(0, limit), ((start + end + side) / 2).clip(0, limit)
        extent = corners[1] - corners[0]
        if (extent < 1).any():
            continue
        width, height = np.maximum(1, np.rint(extent * REGION_PX / side)).astype(int).tolist()
        pixels = _scale_part(picture, tuple(np.concatenate(corners).tolist()), (width, height))
        yield Tile(pixels, np.array([width, height], np.float32) / extent, corners[0])


def _scale_part(picture: Image.Image, box: tuple[float, ...], size: tuple[int, int]) -> RgbImage:
    left, top, right, bottom = box
    corners = left, top, right, bottom
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, box=corners, reducing_gap=REDUCING_GAP))


def _split(n_pixels: int) -> list[tuple[int, int]]:
    """Split a side into even parts of at most `TILE_PX` that overlap."""
    if n_pixels <= TILE_PX:
        return [(0, n_pixels)]
    n_parts = int(np.ceil((n_pixels - OVERLAP_PX) / (TILE_PX - OVERLAP_PX)))
    starts = np.linspace(0, n_pixels - TILE_PX, n_parts).round().astype(int)
    return [(int(start), int(start) + TILE_PX) for start in starts]


def merge_faces(found: Sequence[tuple[Faces, float]], max_iou: float) -> Faces:
    """Merge the faces found at several scales, so that each face is one box, in order of decreasing score.

    `found` holds faces and the scale at which they were found, in pixels per pixel of the image. Of boxes that overlap
    by more than `max_iou`, or of which one contains the other, that one remains whose score is highest, where a score
    counts less at a scale that is too small or too large for the face.
    """
    parts, scales = zip(*found, strict=True)
    points = [part.landmarks for part in parts if part.landmarks is not None]
    boxes, scores = (np.concatenate([getattr(part, name) for part in parts]) for name in ("boxes_xyxy", "scores"))
    scale = np.repeat(np.asarray(scales, np.float32), [len(part) for part in parts])
    sizes = boxes[:, 2:] - boxes[:, :2]
    longer = np.maximum(sizes.max(axis=1, initial=0) * scale, 1e-6)
    trust = np.minimum(1, np.minimum(longer / BEST_PX[0], BEST_PX[1] / longer))
    remaining = np.argsort(-scores * trust, kind="stable")
    areas = sizes.prod(axis=1)
    kept = []
    while len(remaining):
        first, remaining = remaining[0], remaining[1:]
        kept.append(first)
        contained = share_of_smaller(boxes[first][None], boxes[remaining])[0]
        overlap = contained * np.minimum(areas[first], areas[remaining])
        iou = overlap / np.maximum(areas[first] + areas[remaining] - overlap, 1e-6)
        remaining = remaining[(iou <= max_iou) & (contained <= CONTAINED)]
    order = np.array(kept, int)[np.argsort(-scores[kept], kind="stable")] if kept else np.zeros(0, int)
    return Faces(boxes, scores, np.concatenate(points) if points else None).select(order)
