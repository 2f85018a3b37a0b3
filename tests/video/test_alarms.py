"""A person without a mask is an alarm after a while, and no flood of them."""

from collections import defaultdict

import pytest

from maskkit import Person
from maskkit._video.alarms import AlarmRule
from tests.video.videos import face

MASKED, UNMASKED, INCORRECT = "with_mask", "without_mask", "mask_worn_incorrectly"


def person(number, decision, time_s):
    return Person(number, face((0, 0, 20, 20), 0.5), decision, 0.9, 0.0, time_s, 5)


def follow(rule, *moments):
    """Return the events by second, given a dict of decisions by person for each second; None is out of sight."""
    events, seen_s = defaultdict(list), {}
    for time_s, decisions in enumerate(map(dict, moments)):
        persons = []
        for number, decision in decisions.items():
            if decision is None:
                persons.append(person(number, seen_s[number][0], seen_s[number][1]))
            else:
                seen_s[number] = decision, float(time_s)
                persons.append(person(number, decision, float(time_s)))
        for kind, details in rule.update(persons, float(time_s)):
            events[time_s].append((kind, details.get("person"), details.get("n_persons")))
    return dict(events)


@pytest.mark.parametrize("decision", [UNMASKED, INCORRECT, "WithoutMask"])
def test_a_person_is_one_alarm_which_ends(decision):
    rule = AlarmRule(2, 60)
    assert follow(rule, *[{1: decision}] * 6, {}) == {2: [("alarm", 1, 1)], 6: [("alarm_over", None, None)]}
    assert (rule.n_alarms, rule.n_persons) == (1, 1)


@pytest.mark.parametrize("decision", [MASKED, "uncertain", "other"])
def test_others_are_none(decision):
    assert follow(AlarmRule(0, 0), *[{1: decision}] * 4) == {}


def test_a_mask_begins_the_time_anew_and_an_uncertain_decision_does_not():
    moments = [
        {1: UNMASKED},
        {1: "uncertain"},
        {1: MASKED},
        {1: UNMASKED},
        {1: "uncertain"},
        {1: UNMASKED},
        {1: MASKED},
    ]
    assert follow(AlarmRule(2, 0), *moments) == {5: [("alarm", 1, 1)], 6: [("alarm_over", None, None)]}


def test_persons_between_two_alarms_are_counted_in_the_next():
    """Two leave in time, the third is still there, and only the fourth is seen when the time has come."""
    rule = AlarmRule(0, 5)
    moments = [
        {1: UNMASKED},
        {2: UNMASKED},
        {2: UNMASKED},
        {},
        {3: UNMASKED},
        {3: MASKED},
        {},
        {4: UNMASKED},
        {4: None},
    ]
    assert follow(rule, *moments) == {
        0: [("alarm", 1, 1)],
        3: [("alarm_over", None, None)],
        7: [("alarm", 4, 3)],
    }
    assert (rule.n_alarms, rule.n_persons) == (2, 4)


def test_a_person_who_stays_gets_an_alarm_when_the_time_has_come():
    found = follow(AlarmRule(0, 5), {1: UNMASKED}, {2: UNMASKED}, *[{2: UNMASKED}] * 10)
    assert found == {0: [("alarm", 1, 1)], 5: [("alarm", 2, 1)]}


def test_a_person_out_of_sight_is_no_alarm():
    assert follow(AlarmRule(2, 0), {1: UNMASKED}, *[{1: None}] * 5, {1: UNMASKED}) == {6: [("alarm", 1, 1)]}
