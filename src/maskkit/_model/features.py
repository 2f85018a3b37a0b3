"""Feature extraction: images to features, in three stages that overlap."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from maskkit._images.hashing import hash_content
from maskkit._images.load import ImageSource, RgbImage, name_source, read_content
from maskkit._images.prefetch import count_workers, in_batches, in_windows, prefetch_map
from maskkit._model.feature_cache import Features, open_cache
from maskkit._model.fitted_backbone import N_CALIBRATION_IMAGES, ComputeSettings, FittedBackbone
from maskkit.augment._camera import augment_face
from maskkit.detectors._face_finder import FaceFinder

# Other versions of these may compute other pixels or features; a cache file outlives an upgrade.
_VERSIONS = tuple(version(name) for name in ("maskkit", "numpy", "pillow", "torch", "openvino"))

# Images that one thread searches for a face together, for the small network takes as long to start as to search one.
_N_TOGETHER = 8
# Fewer of large images, which are in memory until then.
_PIXELS_TOGETHER = 4_000_000


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """The features (n, n_features) of a batch of images.

    `recompute` returns the features of some rows, computed in float32. It is None if `features` are final.
    """

    features: NDArray[np.float32]
    recompute: Callable[[Sequence[int]], NDArray[np.float32]] | None = None


@dataclass(frozen=True, slots=True)
class FeatureExtractor:
    """Computes the features of images with a fitted backbone; without `face_finder`, it uses every image whole."""

    backbone: FittedBackbone
    face_finder: FaceFinder | None
    settings: ComputeSettings

    def extract(
        self, images: Iterable[ImageSource], *, are_crops: bool = False, with_copies: bool = False
    ) -> Iterator[FeatureBatch]:
        """Iterate over the features of images, which may be endless, in batches of at most `batch_size`.

        With `are_crops`, the images are face crops that occur once: they are not searched for faces, and their features
        are not cached. With `with_copies`, each image is followed by an augmented copy. The content of the image seeds
        the random numbers of `augment_face`, so the copy is always the same and is cached, too.
        """
        return _FeaturePipeline(self, are_crops=are_crops, with_copies=with_copies).run(images)

    def load(self, source: ImageSource, name: str, *, are_crops: bool = False) -> RgbImage:
        """Load, crop and resize an image."""
        preprocess = self.backbone.preprocess
        return preprocess.resize(*self.crop([preprocess.decode(source, name=name)], are_crops=are_crops))

    def load_view(self, source: ImageSource, index: int, *, is_copy: bool) -> RgbImage:
        """Load, crop and resize an image, or its augmented copy."""
        name = name_source(source, index)
        content, digest = read_content(source, name=name)
        (image,) = self.crop([self.backbone.preprocess.decode(content, name=name)])
        return self.backbone.preprocess.resize(_Item(source, name, digest, is_copy).view(image))

    def crop(self, images: Sequence[RgbImage], *, are_crops: bool = False) -> Sequence[RgbImage]:
        """Crop the images that show more than a face."""
        return images if are_crops or self.face_finder is None else self.face_finder.crop(images)

    def quantize(self, sources: Sequence[ImageSource]) -> None:
        """Quantize the backbone to int8, calibrated on at most 300 evenly spaced images."""
        rows = np.unique(np.linspace(0, len(sources) - 1, N_CALIBRATION_IMAGES).astype(int)).tolist()
        images = prefetch_map(lambda row: self.load(sources[row], name_source(sources[row], row)), rows)
        self.backbone.quantize(list(images))


@dataclass(slots=True, eq=False)
class _Item:
    """An image, or its augmented copy, on its way through the pipeline."""

    source: ImageSource
    name: str
    # The content's hash, if it is needed.
    digest: str = ""
    is_copy: bool = False
    key: str = ""
    # Resized; None if the features were cached.
    pixels: RgbImage | None = None
    features: Features | None = None
    # An equal image that came shortly before and whose features are being computed.
    same_as: "_Item | None" = None

    def view(self, image: RgbImage) -> RgbImage:
        """Return the image, or its copy, which the content alone decides."""
        if not self.is_copy:
            return image
        # A generator takes eight times as long to read its seed from a list.
        seed = np.frombuffer(self.digest.encode(), np.uint8).astype(np.uint32)
        return augment_face(image, np.random.default_rng(seed))


class _FeaturePipeline:
    """One pass over images: *prepare* reads them, *compute* runs the network, *collect* returns features in order.

    `prepare` runs in as many threads as there are cores, and `compute` in as many as the engine has streams,
    so that reading the next batch overlaps with computing this one. `deduplicate` and `collect` run in the
    thread of the caller. Each distinct image is computed once: `deduplicate` links an image to an equal one
    that is still being computed, and `collect` takes the features from there. The linked image comes earlier, and
    batches are collected in order, so its features are complete by then.
    """

    def __init__(self, extractor: FeatureExtractor, *, are_crops: bool, with_copies: bool):
        self.extractor = extractor
        self.are_crops = are_crops
        self.with_copies = with_copies
        self.engine = extractor.backbone.engine(extractor.settings)
        self.batch_size = extractor.settings.batch_size or self.engine.batch_size
        self.cache = None if are_crops else open_cache(extractor.settings.cache)
        if self.cache is not None:
            # The part of a key that all images share covers everything that features depend on but the image.
            finder = extractor.face_finder
            shared = f"{extractor.backbone.cache_key(extractor.settings)} {finder and finder.settings} {_VERSIONS}"
            self.key_suffix = hash_content(shared.encode())
        # Batches that may be in flight: those waiting for `compute`, and the one being collected.
        self.in_flight: deque[dict[str, _Item]] = deque(maxlen=self.engine.n_streams + 2)

    def run(self, images: Iterable[ImageSource]) -> Iterator[FeatureBatch]:
        n_together = min(_N_TOGETHER, self.batch_size)
        chunks = in_batches(enumerate(images), n_together)
        n_ahead = max(2 * self.batch_size // n_together, 2 * count_workers())
        prepared = prefetch_map(self.prepare, chunks, n_ahead=n_ahead)
        batches = map(self.deduplicate, in_batches(chain.from_iterable(prepared), self.batch_size))
        n_streams = self.engine.n_streams
        computed = prefetch_map(self.compute, batches, n_ahead=n_streams + 1, n_workers=n_streams)
        return map(self.collect, computed)

    def prepare(self, chunk: list[tuple[int, ImageSource]]) -> list[_Item]:
        """Read some numbered images; return them, each followed by its augmented copy if copies are wanted."""
        items: list[_Item] = []

        def decode() -> Iterator[tuple[RgbImage, list[_Item]]]:
            for index, source in chunk:
                content, views = self.look_up(source, index)
                items.extend(views)
                # The image and its copy share one decoding and one search for the face.
                if missing := [item for item in views if item.features is None]:
                    yield self.extractor.backbone.preprocess.decode(content, name=views[0].name), missing

        for window in in_windows(decode(), len(chunk), max_pixels=_PIXELS_TOGETHER):
            images, missing = zip(*window, strict=True)
            for image, views in zip(self.extractor.crop(images, are_crops=self.are_crops), missing, strict=True):
                for item in views:
                    item.pixels = self.extractor.backbone.preprocess.resize(item.view(image))
        return items

    def look_up(self, source: ImageSource, index: int) -> tuple[ImageSource, list[_Item]]:
        """Return an image, read if its hash is needed, and its items, with the features that are cached."""
        name = name_source(source, index)
        if self.cache is None and not self.with_copies:
            return source, [_Item(source, name)]
        content, digest = read_content(source, name=name)
        items = [_Item(source, name, digest, is_copy) for is_copy in ((False, True) if self.with_copies else (False,))]
        if self.cache is not None:
            for item in items:
                item.key = f"{digest} {self.key_suffix} {item.is_copy}"
                item.features = self.cache.get(item.key)
        return content, items

    def deduplicate(self, batch: list[_Item]) -> list[_Item]:
        """Link images to equal ones that are in flight, or whose features were cached meanwhile."""
        if self.cache is not None:
            new: dict[str, _Item] = {}
            self.in_flight.append(new)
            for item in batch:
                if item.features is None:
                    item.features = self.cache.get(item.key)
                if item.features is None:
                    item.same_as = next((known[item.key] for known in self.in_flight if item.key in known), None)
                    if item.same_as is None:
                        new[item.key] = item
        return batch

    def compute(self, batch: list[_Item]) -> list[_Item]:
        """Run the network on the images of a batch that have no features yet."""
        new = [item for item in batch if item.features is None and item.same_as is None]
        if new:
            pixels = np.stack([item.pixels for item in new if item.pixels is not None])
            for item, features in zip(new, self.extractor.backbone.compute(self.engine, pixels), strict=True):
                item.features = features
        return batch

    def collect(self, batch: list[_Item]) -> FeatureBatch:
        """Cache the new features of a batch and return all of them in order."""
        for item in batch:
            if item.same_as is not None:
                item.features = item.same_as.features
        rows = [item.features for item in batch if item.features is not None]
        if self.cache is not None:
            is_new = [item.pixels is not None and item.same_as is None for item in batch]
            self.cache.put({item.key: row for item, row, new in zip(batch, rows, is_new, strict=True) if new})
        is_final = self.with_copies or not self.engine.is_reduced
        return FeatureBatch(np.stack(rows), None if is_final else partial(self.recompute, batch))

    def recompute(self, batch: list[_Item], rows: Sequence[int]) -> NDArray[np.float32]:
        """Compute the features of some rows in float32; images whose features were cached are read again."""
        exact = {} if self.cache is None else {row: self.cache.get(f"{batch[row].key} float32") for row in rows}
        new = [row for row in rows if exact.get(row) is None]
        for item in (batch[row] for row in new):
            if item.pixels is None:
                item.pixels = self.extractor.load(item.source, item.name, are_crops=self.are_crops)
        if new:
            pixels = np.stack([pixel for row in new if (pixel := batch[row].pixels) is not None])
            backbone = self.extractor.backbone
            computed = backbone.compute(backbone.engine(self.extractor.settings, "float32"), pixels)
            if self.cache is not None:
                keys = (f"{batch[row].key} float32" for row in new)
                self.cache.put(dict(zip(keys, computed, strict=True)))
            exact |= dict(zip(new, computed, strict=True))
        return np.stack([features for row in rows if (features := exact[row]) is not None])
