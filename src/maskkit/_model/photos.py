"""The part of MaskClassifier that reads photos with any number of faces."""

from collections.abc import Iterable, Iterator
from typing import Literal

from maskkit._images.load import ImageSource, iterate_images
from maskkit._model.results import PhotoResult
from maskkit._model.stages import StagesMixin


class PhotosMixin(StagesMixin):
    """Methods that detect the faces of photos and classify them."""

    def predict_faces(
        self, photo: ImageSource, *, max_faces: int | None = None, max_px: int | None = None
    ) -> PhotoResult:
        """Detect and classify the faces of one photo.

        Parameters
        ----------
        photo : image
            A photo with any number of faces.
        max_faces : int, optional
            Largest number of faces to classify, the largest ones. The boxes of the others are in `left_out` of the
            result, and their number in its `notes`.
        max_px : int, optional
            Largest number of pixels of a photo that is read. By default twice `PIL.Image.MAX_IMAGE_PIXELS`, that is
            178,956,970, with an `ImageWarning` above the half of that.

        Returns
        -------
        result : PhotoResult
            The faces, largest first; empty if there is none.

        Raises
        ------
        ImageError
            If the photo cannot be read.
        """
        return self.predictor_.limit_faces(max_faces).read_photo(photo, max_px=max_px)

    def predict_photos(
        self,
        photos: Iterable[ImageSource],
        *,
        crops: bool = False,
        max_faces: int | None = None,
        on_error: Literal["report", "skip", "raise"] = "report",
        max_px: int | None = None,
    ) -> Iterator[PhotoResult]:
        """Detect and classify the faces of many photos, as a stream.

        The faces of several photos share a batch. Memory use is that of a few photos, however many there are.

        Parameters
        ----------
        photos : iterable of images
            May be a generator, and endless.
        crops : bool, default=False
            Whether each image is a crop of one face, classified without detection. Its box is the whole image.
        max_faces : int, optional
            Largest number of faces per photo, as in `predict_faces`.
        on_error : {"report", "skip", "raise"}, default="report"
            What happens to a photo that cannot be read. ``"report"``: its result has the status ``"unreadable"``.
            ``"skip"``: it is left out, with a `SkippedImageWarning` that names it. ``"raise"``: `ImageError`.
        max_px : int, optional
            Largest number of pixels of a photo, as in `predict_faces`.

        Yields
        ------
        result : PhotoResult
            One result per photo, in order.
        """
        predictor = self.predictor_.limit_faces(max_faces)
        predictor = predictor.as_crops() if crops else predictor
        if on_error not in ("report", "skip", "raise"):
            raise ValueError(f"on_error={on_error!r} is unknown; use 'report', 'skip' or 'raise'.")
        return predictor.read_photos(iterate_images(photos), on_error=on_error, max_px=max_px)
