"""Persons: tracked faces that count once each, and the events about them."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from maskkit._model.decision import UNCERTAIN, DecisionRule
from maskkit._model.results import FaceResult
from maskkit._video.smoothing import SmoothedDecision

EventData: TypeAlias = tuple[str, dict[str, Any]]
"""The kind of an event and its details."""

MINUTE_S = 60

# Between full searches, the face of a person is classified again after this time: consecutive frames are much alike,
# and a decision is a mean over about a second. After so many classifications in a row that agree with the decision, it
# is classified less often, until one does not agree. Ours.
CLASSIFY_EVERY_S, SETTLED_EVERY_S, N_AGREEING = 0.1, 0.4, 5


@dataclass(frozen=True, slots=True)
class Person:
    """A face tracked over frames.

    Attributes
    ----------
    number : int
        Number of the person, counted from 1. A person who comes back gets a new number.
    face : FaceResult
        Result of the last frame with this face, not smoothed.
    decision : str or int
        Smoothed decision: a class or ``"uncertain"``.
    probability : float or None
        Smoothed probability of the decision, or of the most probable class if it is uncertain; None if the face
        was too small in every frame.
    first_s, last_s : float
        Times of the first and the last frame with this face, in seconds of the stream.
    n_frames : int
        Number of frames with this face.
    """

    number: int
    face: FaceResult
    decision: Any
    probability: float | None
    first_s: float
    last_s: float
    n_frames: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that events contain."""
        return {
            "person": self.number,
            "decision": self.decision,
            "probability": None if self.probability is None else round(self.probability, 4),
            "first_s": round(self.first_s, 3),
            "last_s": round(self.last_s, 3),
            "n_frames": self.n_frames,
            "box": list(self.face.box),
        }


class Persons:
    """Turns tracks into persons, counts them, and reports events about them.

    A track becomes a person once its face was found in `min_hits` frames; earlier it may be a false detection.
    """

    def __init__(self, rule: DecisionRule, min_hits: int):
        self.rule, self.min_hits = rule, min_hits
        self._tracks: dict[int, _Track] = {}
        self._left: Counter[Any] = Counter()
        self._minute_decisions: dict[int, Any] = {}
        self._n_persons = self._minute = self._minute_frames = 0

    def update(self, faces: Iterable[FaceResult], tracks: Iterable[int | None], time_s: float) -> list[EventData]:
        """Add the faces of a frame to their tracks; return the events."""
        self._minute_frames += 1
        events: list[EventData] = []
        for face, number in zip(faces, tracks, strict=True):
            if number is not None:
                track = self._tracks.setdefault(number, _Track(SmoothedDecision(self.rule), face, time_s, time_s))
                events += self._update_track(track, face, time_s)
        return events

    def known_faces(self, tracks: Iterable[int | None], time_s: float) -> list[FaceResult | None]:
        """Return the last result of each track, or None if its face must be classified again or is no person's yet."""
        found = [None if number is None else self._tracks.get(number) for number in tracks]
        return [track.face if track and track.number and time_s < track.classify_s else None for track in found]

    def remove_ended(self, active: Iterable[int]) -> list[EventData]:
        """Remove the tracks that are not active; return the persons who left."""
        ended = [number for number in self._tracks if number not in set(active)]
        events: list[EventData] = []
        for track in map(self._tracks.pop, ended):
            if track.number is not None:
                self._left[track.smoothed.decision] += 1
                events.append(("left", track.person().to_dict()))
        return events

    def close_minutes(self, time_s: float) -> list[EventData]:
        """Return the counts of the minutes that have ended; call it before `update` with the same time."""
        events: list[EventData] = []
        while time_s >= (self._minute + 1) * MINUTE_S:
            events.append(self.close_minute((self._minute + 1) * MINUTE_S))
        return events

    def close_minute(self, end_s: float) -> EventData:
        """Return the counts of the current minute, and begin the next."""
        details = {
            "minute": self._minute,
            "from_s": float(self._minute * MINUTE_S),
            "to_s": round(float(end_s), 3),
            "n_frames": self._minute_frames,
            "n_persons": len(self._minute_decisions),
            "persons": _count_by_name(Counter(self._minute_decisions.values())),
        }
        self._minute += 1
        self._minute_decisions, self._minute_frames = {}, 0
        return "minute", details

    def visible(self, time_s: float) -> tuple[Person, ...]:
        """Return the persons whose face was found at this time."""
        return tuple(person for person in self.present() if person.last_s == time_s)

    def present(self) -> list[Person]:
        """Return the persons who have not left."""
        return [track.person() for track in self._tracks.values() if track.number is not None]

    def counts(self) -> dict[str, int]:
        """Count all persons so far by their last decision, most frequent first."""
        return _count_by_name(self._left + Counter(person.decision for person in self.present()))

    def _update_track(self, track: "_Track", face: FaceResult, time_s: float) -> list[EventData]:
        previous = track.smoothed.decision
        track.add(face, time_s)
        events: list[EventData] = []
        if track.number is None:
            if track.n_frames < self.min_hits:
                return []
            self._n_persons += 1
            track.number = self._n_persons
            # Decisions before the person counted were not reported, so that the first one is "decided".
            previous = UNCERTAIN
            events.append(("appeared", track.person().to_dict()))
        decision = track.smoothed.decision
        self._minute_decisions[track.number] = decision
        if decision != previous:
            details = track.person().to_dict()
            events.append(("changed", details | {"previous": previous}) if track.is_decided else ("decided", details))
            track.is_decided = True
        return events


@dataclass(slots=True)
class _Track:
    """A tracked face, before and after it counts as a person."""

    smoothed: SmoothedDecision
    face: FaceResult
    first_s: float
    last_s: float
    n_frames: int = 0
    number: int | None = None
    is_decided: bool = False
    classify_s: float = -math.inf
    n_agreeing: int = 0

    def add(self, face: FaceResult, time_s: float) -> None:
        # A face that is not classified again keeps the probabilities.
        is_new = face.probabilities is not self.face.probabilities
        self.face, self.last_s = face, time_s
        self.n_frames += 1
        self.smoothed.add(face.probabilities, face.size_px, time_s)
        if is_new:
            self.n_agreeing = self.n_agreeing + 1 if face.decision == self.smoothed.decision != UNCERTAIN else 0
            self.classify_s = time_s + (SETTLED_EVERY_S if self.n_agreeing >= N_AGREEING else CLASSIFY_EVERY_S)

    def person(self) -> Person:
        assert self.number is not None
        smoothed = self.smoothed
        return Person(
            self.number, self.face, smoothed.decision, smoothed.probability, self.first_s, self.last_s, self.n_frames
        )


def _count_by_name(counts: Counter[Any]) -> dict[str, int]:
    return {str(label): count for label, count in counts.most_common()}
