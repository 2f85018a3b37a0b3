"""Results of `explain` and `explain_faces`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskkit._display.collage import compose_tiles
from maskkit._display.drawing import draw_heat, resize_heat
from maskkit._display.tables import format_percent
from maskkit._files.outputs import check_new, save_picture
from maskkit._images.load import RgbImage
from maskkit._model.results import PhotoResult
from maskkit._text import escape_text

# Smaller faces are enlarged to this size in pixels, because details of a face of 20 px cannot be seen.
_DRAWN_PX = 224
_TILE_PX, _TILES_PER_ROW = 144, 3


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """A heat map of the regions of a face that support a class.

    Attributes
    ----------
    image : ndarray of shape (H, W, 3), uint8
        The face crop.
    heat : ndarray of shape (H, W), float32
        Support of each pixel for `label`, range 0 to 1, scaled by the strongest support or opposition in the
        image. All 0 if nothing supports `label`.
    label : str or int
        Class that is explained.
    probability : float
        Probability of `label`, range 0 to 1.
    layer : str
        Layer of the backbone whose feature map is used.
    """

    image: RgbImage
    heat: NDArray[np.float32]
    label: Any
    probability: float
    layer: str

    def draw(self) -> Image.Image:
        """Draw the heat map over the face in gray; colors go from violet over red to yellow, the strongest.

        Returns
        -------
        picture : PIL.Image.Image
            RGB, without metadata; as large as the image, or larger if the image is small.
        """
        factor = max(1.0, _DRAWN_PX / max(self.heat.shape))
        size = round(factor * self.heat.shape[1]), round(factor * self.heat.shape[0])
        face = Image.fromarray(self.image).resize(size, Image.Resampling.BICUBIC)
        return draw_heat(face, resize_heat(self.heat, size))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save the drawn face in the format of the file extension; return the path.

        Raises OutputError if the file exists.
        """
        return save_picture(self.draw(), check_new(path))

    def __repr__(self) -> str:
        return f"<Explanation: {self.label} {format_percent(self.probability)}>"

    def _repr_png_(self) -> bytes | None:
        return self.draw()._repr_png_()


@dataclass(frozen=True, eq=False, repr=False)
class PhotoExplanation(Sequence[Explanation]):
    """Heat maps of the faces of one photo; a sequence of `Explanation`.

    Attributes
    ----------
    photo : PhotoResult
        Result of `MaskClassifier.predict_faces`.
    faces : tuple of Explanation
        One explanation per face, largest face first.
    """

    photo: PhotoResult
    faces: tuple[Explanation, ...]

    def __len__(self) -> int:
        return len(self.faces)

    @overload
    def __getitem__(self, index: int) -> Explanation: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Explanation, ...]: ...
    def __getitem__(self, index: int | slice) -> Explanation | tuple[Explanation, ...]:
        return self.faces[index]

    def draw(self) -> Image.Image:
        """Draw a sheet of the faces, largest first, each beside its heat map.

        Returns
        -------
        picture : PIL.Image.Image
            RGB, without metadata.

        Raises
        ------
        ValueError
            If there is no face.
        """
        if not self.faces:
            raise ValueError(f"{self.photo.name}: no face was detected, so there is nothing to draw.")
        return compose_tiles(
            [_draw_pair(face) for face in self.faces],
            [face.label for face in self.faces],
            list(self.photo[0].probabilities),
            _TILES_PER_ROW,
            (2 * _TILE_PX, _TILE_PX),
            captions=[
                f"{number}: {face.label} {format_percent(face.probability)}"
                for number, face in enumerate(self.faces, 1)
            ],
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save the sheet in the format of the file extension; return the path.

        Raises OutputError if the file exists.
        """
        return save_picture(self.draw(), check_new(path))

    def __repr__(self) -> str:
        return f"<PhotoExplanation {escape_text(self.photo.name)}: {len(self)} faces>"

    def _repr_png_(self) -> bytes | None:
        return self.draw()._repr_png_() if self.faces else None


def _draw_pair(face: Explanation) -> Image.Image:
    pair = Image.new("RGB", (2 * _TILE_PX, _TILE_PX))
    for column, picture in enumerate((Image.fromarray(face.image), face.draw())):
        pair.paste(picture.resize((_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS), (column * _TILE_PX, 0))
    return pair
