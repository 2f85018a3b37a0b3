"""The rule that makes alarms of persons without a mask."""

import math
from collections.abc import Iterable

from maskkit._labels import INCORRECT, UNMASKED, meaning_of
from maskkit._model.decision import UNCERTAIN
from maskkit._video.persons import EventData, Person


def is_unprotected(label: object) -> bool:
    """Return whether a label means that no mask is worn, or that it is worn incorrectly."""
    return meaning_of(label) in (UNMASKED, INCORRECT)


class AlarmRule:
    """Reports persons who wear no mask, or wear it incorrectly, for `after_s` seconds.

    Each person counts once, and again after wearing a mask in between. There is at most one alarm per `every_s`
    seconds; persons who are due in the meantime are counted in the next one, which is that of a person who is still
    there. An uncertain decision neither starts nor ends the time of a person.
    """

    def __init__(self, after_s: float, every_s: float):
        self.after_s, self.every_s = after_s, every_s
        self.n_alarms = self.n_persons = 0
        self._since_s: dict[int, float] = {}
        self._due: set[int] = set()
        self._waiting: set[int] = set()
        self._last_s = -math.inf
        self._is_on = False

    def update(self, persons: Iterable[Person], time_s: float) -> list[EventData]:
        """Return the events of a frame, given all persons who have not left."""
        present = {person.number: person for person in persons}
        since_s = {number: start_s for number, start_s in self._since_s.items() if number in present}
        visible: list[Person] = []
        for number, person in present.items():
            if is_unprotected(person.decision):
                since_s.setdefault(number, person.last_s)
                if person.last_s == time_s and time_s - since_s[number] >= self.after_s:
                    visible.append(person)
            elif person.decision != UNCERTAIN:
                since_s.pop(number, None)
        self._since_s = since_s
        new = {person.number for person in visible} - self._due
        self._due = (self._due & since_s.keys()) | new
        self._waiting |= new
        self.n_persons += len(new)
        events: list[EventData] = []
        waiting = [person for person in visible if person.number in self._waiting]
        if waiting and time_s - self._last_s >= self.every_s:
            person = waiting[-1]
            duration_s = round(time_s - since_s[person.number], 3)
            details = person.to_dict() | {"duration_s": duration_s, "n_persons": len(self._waiting)}
            events.append(("alarm", details))
            self.n_alarms, self._last_s, self._is_on = self.n_alarms + 1, time_s, True
            self._waiting.clear()
        if self._is_on and not self._due:
            events.append(("alarm_over", {}))
            self._is_on = False
        return events
