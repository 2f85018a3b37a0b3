"""What explain and explain_faces return: heat maps to read, to draw and to save."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskkit._display.collage import compose_tiles
from maskkit._display.drawing import draw_heat, resize_heat
from maskkit._images.load import RgbImage
from maskkit._model.results import PhotoResult

# Smaller faces are drawn this large, in pixels; nobody sees anything in 20.
_DRAWN_PX = 224
_TILE_PX, _TILES_A_ROW = 144, 3


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Which places of a face speak for a class.

    Attributes
    ----------
    image : ndarray of shape (H, W, 3), uint8
        The face crop.
    heat : ndarray of shape (H, W), float32
        How much each place speaks for `label`, range 0 to 1; 1 is the strongest place of the image, be
        it for or against. All 0 where nothing speaks for it.
    label : str or int
        The class that is explained.
    probability : float
        Of `label`, range 0 to 1.
    layer : str
        The layer of the backbone that was looked into.
    """

    image: RgbImage
    heat: NDArray[np.float32]
    label: Any
    probability: float
    layer: str

    def draw(self) -> Image.Image:
        """Draw the heat over the face in grey: from none over violet and red to yellow, the strongest.

        Returns
        -------
        picture : PIL.Image.Image
            RGB, without metadata; of the image's size, or larger if the image is small.
        """
        factor = max(1.0, _DRAWN_PX / max(self.heat.shape))
        size = round(factor * self.heat.shape[1]), round(factor * self.heat.shape[0])
        face = Image.fromarray(self.image).resize(size, Image.Resampling.BICUBIC)
        return draw_heat(face, resize_heat(self.heat, size))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the drawn face; the file's ending chooses the format. Gives the path."""
        return _save(self.draw(), path)

    def __repr__(self) -> str:
        return f"<Explanation: {self.label} {self.probability:.0%}>"

    def _repr_png_(self) -> bytes | None:
        return self.draw()._repr_png_()


@dataclass(frozen=True, eq=False, repr=False)
class PhotoExplanation(Sequence[Explanation]):
    """Which places of the faces of one photo speak for a class; a sequence of `Explanation`.

    Attributes
    ----------
    photo : PhotoResult
        The faces as `MaskClassifier.predict_faces` gives them.
    faces : tuple of Explanation
        One a face, in the same order: largest first.
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

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self.faces)

    def draw(self) -> Image.Image:
        """Draw a sheet of the faces, largest first: each as it is and, beside it, with its heat.

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
            raise ValueError(f"{self.photo.name}: no face was found, so there is nothing to draw.")
        return compose_tiles(
            [_pair(face) for face in self.faces],
            [face.label for face in self.faces],
            list(self.photo[0].probabilities),
            _TILES_A_ROW,
            (2 * _TILE_PX, _TILE_PX),
            captions=[f"{index}  {face.label}  {face.probability:.0%}" for index, face in enumerate(self.faces)],
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the sheet; the file's ending chooses the format. Gives the path."""
        return _save(self.draw(), path)

    def __repr__(self) -> str:
        return f"<PhotoExplanation {self.photo.name}: {len(self)} faces>"

    def _repr_png_(self) -> bytes | None:
        return self.draw()._repr_png_() if self.faces else None


def _pair(face: Explanation) -> Image.Image:
    pair = Image.new("RGB", (2 * _TILE_PX, _TILE_PX))
    for place, picture in enumerate((Image.fromarray(face.image), face.draw())):
        pair.paste(picture.resize((_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS), (place * _TILE_PX, 0))
    return pair


def _save(picture: Image.Image, path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return path
