"""Persons: faces followed over frames, each of which counts once."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from maskkit._model.decision import UNCERTAIN, DecisionRule
from maskkit._model.results import FaceResult
from maskkit._video.smoothing import SmoothedDecision

Happening: TypeAlias = tuple[str, dict[str, Any]]
"""The kind of an event, and what it tells."""

MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Person:
    """A face followed over frames.

    Attributes
    ----------
    number : int
        Counted from 1; who goes and comes back has a new one.
    face : FaceResult
        As it was seen last, judged by that frame alone.
    decision : str or int
        A class or ``"uncertain"``, from all that was seen of the face lately.
    probability : float or None
        Mean of the decision's class, or of the most probable one where it is uncertain; None if every look was
        too small.
    first_s, last_s : float
        When it was first and last seen, in seconds of the stream.
    n_frames : int
        Frames in which it was found.
    """

    number: int
    face: FaceResult
    decision: Any
    probability: float | None
    first_s: float
    last_s: float
    n_frames: int

    def to_dict(self) -> dict[str, Any]:
        """Give what events tell."""
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
    """Who is in sight, who was, and what of that is worth telling.

    Parameters
    ----------
    rule : DecisionRule
    min_frames : int
        A face found in fewer frames is nobody.
    """

    def __init__(self, rule: DecisionRule, min_frames: int):
        self.rule = rule
        self.min_frames = min_frames
        self._followed: dict[int, _Followed] = {}
        self._n_persons = 0
        self._gone: Counter[Any] = Counter()
        self._minute = 0
        self._minute_decisions: dict[int, Any] = {}
        self._minute_frames = 0

    def see(self, faces: Iterable[FaceResult], tracks: Iterable[int | None], time_s: float) -> list[Happening]:
        """Take the faces of a frame into account; gives what happened."""
        happenings: list[Happening] = []
        self._minute_frames += 1
        for face, track in zip(faces, tracks, strict=True):
            if track is not None:
                happenings += self._see_one(face, track, time_s)
        return happenings

    def keep(self, alive: Iterable[int]) -> list[Happening]:
        """Let go of all other tracks; gives who left."""
        gone = [track for track in self._followed if track not in set(alive)]
        happenings: list[Happening] = []
        for followed in map(self._followed.pop, gone):
            if followed.number is not None:
                self._gone[followed.smoothed.decision] += 1
                happenings.append(("left", followed.person().to_dict()))
        return happenings

    def pass_time(self, time_s: float) -> list[Happening]:
        """Give the counts of the minutes that are over; call it before what was seen at this time."""
        happenings: list[Happening] = []
        while time_s >= (self._minute + 1) * MINUTE_S:
            happenings.append(self.close_minute((self._minute + 1) * MINUTE_S))
        return happenings

    def close_minute(self, end_s: float) -> Happening:
        """Give the counts of the minute so far, and begin the next."""
        told = {
            "minute": self._minute,
            "from_s": float(self._minute * MINUTE_S),
            "to_s": round(float(end_s), 3),
            "n_frames": self._minute_frames,
            "n_persons": len(self._minute_decisions),
            "persons": _as_text(Counter(self._minute_decisions.values())),
        }
        self._minute += 1
        self._minute_decisions, self._minute_frames = {}, 0
        return "minute", told

    def in_sight(self, time_s: float) -> tuple[Person, ...]:
        """Give who was seen at this very time."""
        return tuple(
            followed.person()
            for followed in self._followed.values()
            if followed.number is not None and followed.last_s == time_s
        )

    def counts(self) -> dict[Any, int]:
        """Count all persons so far by their last decision, most frequent first."""
        here = Counter(f.smoothed.decision for f in self._followed.values() if f.number is not None)
        return dict((self._gone + here).most_common())

    def _see_one(self, face: FaceResult, track: int, time_s: float) -> list[Happening]:
        followed = self._followed.setdefault(track, _Followed(SmoothedDecision(self.rule), face, time_s))
        before = followed.smoothed.decision
        followed.see(face, time_s)
        happenings: list[Happening] = []
        if followed.number is None:
            if followed.n_frames < self.min_frames:
                return []
            self._n_persons += 1
            followed.number = self._n_persons
            before = UNCERTAIN
            happenings.append(("appeared", followed.person().to_dict()))
        decision = followed.smoothed.decision
        self._minute_decisions[followed.number] = decision
        if decision != before:
            told = followed.person().to_dict()
            if followed.is_decided:
                happenings.append(("changed", {**told, "was": before}))
            else:
                happenings.append(("decided", told))
            followed.is_decided = True
        return happenings


@dataclass(slots=True)
class _Followed:
    """A track, before and after it is somebody."""

    smoothed: SmoothedDecision
    face: FaceResult
    first_s: float
    last_s: float = field(default=0.0)
    n_frames: int = 0
    number: int | None = None
    is_decided: bool = False

    def see(self, face: FaceResult, time_s: float) -> None:
        self.face, self.last_s = face, time_s
        self.n_frames += 1
        self.smoothed.add(face.probabilities, face.size_px, time_s)

    def person(self) -> Person:
        assert self.number is not None
        return Person(
            self.number,
            self.face,
            self.smoothed.decision,
            self.smoothed.probability,
            self.first_s,
            self.last_s,
            self.n_frames,
        )


def _as_text(counts: Mapping[Any, int]) -> dict[str, int]:
    return {str(label): count for label, count in Counter(counts).most_common()}
