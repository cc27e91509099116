"""The event that rules see answers every call like that of panther_core."""

from hypothesis import given, settings
from hypothesis import strategies as st
from panther_core import enriched_event

from local_panther.detection.view import PantherEvent
from tests.scale import examples

NAMES = st.sampled_from(["user", "User", "USER", "role", "Role", "", "other"])
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | NAMES
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4)
)
EVENTS = st.dictionaries(NAMES, VALUES, max_size=5)
KEYS = st.lists(NAMES | st.integers(0, 1) | st.none(), max_size=4)


def asked(event, ask):
    """Return the type and text of a result, or of the error."""
    try:
        found = ask(event)
    except Exception as error:
        return type(error), str(error)
    is_event = isinstance(found, enriched_event.PantherEvent)
    return "the event" if is_event else type(found), repr(found)


@settings(max_examples=examples(150, 2000), deadline=None)
@given(EVENTS, KEYS, PLAIN | VALUES)
def test_the_event_answers_like_that_of_panther_core(fields, keys, default):
    ours, theirs = PantherEvent(fields), enriched_event.PantherEvent(fields)
    key = keys[0] if keys else "user"
    for ask in (
        lambda event: event.get(key),
        lambda event: event.get(key, default),
        lambda event: event.get(key, default=default),
        lambda event: event.deep_get(*keys),
        lambda event: event.deep_get(*keys, default=default),
        lambda event: event.get([]),
        lambda event: event.udm(*keys, default=default),
        lambda event: event.deep_walk(*keys, default=default),
        repr,
        lambda event: event.to_dict(),
    ):
        assert asked(ours, ask) == asked(theirs, ask)


def test_the_contents_of_an_event_cannot_be_changed():
    fields = {"identity": {"name": "alice", "groups": ["a"]}}
    event = PantherEvent(fields)
    event.get("identity").raw_view()["name"] = "mallory"
    event.deep_get("identity").raw_view()["name"] = "mallory"
    assert fields == {"identity": {"name": "alice", "groups": ["a"]}}
    assert event.deep_get("identity", "groups") == ("a",)
