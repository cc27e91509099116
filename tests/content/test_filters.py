"""Tests of InlineFilters: which events pass, and the errors for invalid filters."""

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panther_core.filter import Filter

from local_panther.content.filters import (
    OPERATORS,
    describe_error,
    possible_values,
    transpile_filters,
)
from local_panther.errors import FieldError

TEXTS = ["ListRoles", "listroles", "List", "Roles", "AssumeRole", "", "10.1.2.3", "8.8.8.8"]


def direct(expression, event) -> bool:
    """Evaluate a filter directly from its YAML, for strings and lists of strings."""
    if "All" in expression:
        return all(direct(part, event) for part in expression["All"])
    if "Any" in expression:
        return any(direct(part, event) for part in expression["Any"])
    actual, condition = event.get(expression["KeyPath"]), expression["Condition"]
    value = expression.get("Value", expression.get("Values"))
    negated = {"DoesNotEqual": "Equals", "IsNotIn": "IsIn", "DoesNotContain": "Contains"}
    negated |= {"DoesNotStartWith": "StartsWith", "DoesNotEndWith": "EndsWith"}
    negated |= {"IsNotNullOrEmpty": "IsNullOrEmpty", "IsIPAddressNotInCIDR": "IsIPAddressInCIDR"}
    negated |= {f"I{k}": f"I{v}" for k, v in list(negated.items()) if f"I{v}" in OPERATORS}
    if condition in negated:
        return not direct(expression | {"Condition": negated[condition]}, event)
    if condition.startswith("I") and condition[1:] in OPERATORS:
        lower = [text.lower() if isinstance(text, str) else text for text in (actual, value)]
        fields = {expression["KeyPath"]: lower[0]}
        return direct(expression | {"Condition": condition[1:], "Value": lower[1]}, fields)
    if condition == "IsNullOrEmpty":
        return actual in (None, "", [])
    if condition == "Equals":
        return actual == value
    if actual is None:
        return False
    if condition == "IsIn":
        return actual in value
    if condition == "Contains":
        return value in actual
    if condition in ("StartsWith", "EndsWith"):
        return actual[: len(value)] == value if condition[0] == "S" else actual.endswith(value)
    if condition.startswith("IsIPAddressIn"):
        return ipaddress.ip_address(actual) in ipaddress.ip_network(value)
    address = ipaddress.ip_address(actual)
    return address.is_global if condition == "IsIPAddressPublic" else address.is_private


TEXT_CONDITIONS = sorted(
    name
    for name in OPERATORS
    if not any(part in name for part in ("CIDR", "IPAddress", "Than", "IsIn", "IsNotIn"))
)
path = st.sampled_from(["eventName", "userAgent", "missing"])
text = st.sampled_from(TEXTS)
single = st.fixed_dictionaries(
    {"KeyPath": path, "Condition": st.sampled_from(TEXT_CONDITIONS), "Value": text}
)
several = st.fixed_dictionaries(
    {
        "KeyPath": path,
        "Condition": st.sampled_from(["IsIn", "IsNotIn"]),
        "Values": st.lists(text, min_size=1, max_size=3),
    }
)
conditions = st.recursive(
    single | several,
    lambda inner: (
        st.fixed_dictionaries({"Any": st.lists(inner, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"All": st.lists(inner, min_size=1, max_size=3)})
    ),
    max_leaves=6,
)
filters = st.lists(conditions, min_size=1, max_size=3)
events = st.fixed_dictionaries({"eventName": text | st.none()}, optional={"userAgent": text})


def passes(found, event) -> bool:
    return Filter(transpile_filters(found)["statement"]).filter(event)


@given(filters, events)
def test_a_translated_filter_passes_the_events_that_its_yaml_describes(found, event):
    assert passes(found, event) == all(direct(part, event) for part in found)


@pytest.mark.parametrize(
    "condition, address, cidr, expected",
    [
        ("IsIPAddressInCIDR", "10.1.2.3", "10.0.0.0/8", True),
        ("IsIPAddressInCIDR", "8.8.8.8", "10.0.0.0/8", False),
        ("IsIPAddressNotInCIDR", "8.8.8.8", "10.0.0.0/8", True),
        ("CIDRContainsIPAddresses", ["8.8.8.8", "10.1.2.3"], "10.0.0.0/8", True),
        ("CIDRContainsIPAddresses", ["8.8.8.8"], "10.0.0.0/8", False),
        ("CIDRDoesNotContainIPAddresses", ["8.8.8.8"], "10.0.0.0/8", True),
        ("IsIPAddressPublic", "8.8.8.8", None, True),
        ("IsIPAddressPublic", "10.1.2.3", None, False),
        ("IsIPAddressPrivate", "10.1.2.3", None, True),
    ],
)
def test_conditions_on_addresses(condition, address, cidr, expected):
    found = [{"KeyPath": "ip", "Condition": condition} | ({"Value": cidr} if cidr else {})]
    assert passes(found, {"ip": address}) == expected


@pytest.mark.parametrize(
    "condition, passing",
    [
        ("IsGreaterThan", {6}),
        ("IsGreaterThanOrEquals", {5, 6}),
        ("IsGreaterThanOrEqual", {5, 6}),
        ("IsLessThan", {4}),
        ("IsLessThanOrEquals", {4, 5}),
        ("IsLessThanOrEqual", {4, 5}),
    ],
)
def test_conditions_on_numbers(condition, passing):
    found = [{"KeyPath": "n", "Condition": condition, "Value": 5}]
    assert {n for n in (4, 5, 6) if passes(found, {"n": n})} == passing


def test_filters_accept_nested_paths_and_values_of_any_type():
    found = [
        {"KeyPath": "a.b", "Condition": "Equals", "Value": True},
        {"KeyPath": "list[0].name", "Condition": "Equals", "Value": "x"},
    ]
    assert passes(found, {"a": {"b": True}, "list": [{"name": "x"}]})
    assert not passes(found, {"a": {"b": False}, "list": [{"name": "x"}]})


@given(filters, events)
def test_an_event_that_passes_has_one_of_the_possible_names(found, event):
    names = possible_values(found, "eventName")
    if names is not None and passes(found, event):
        assert event["eventName"] in names


@pytest.mark.parametrize(
    "found, names",
    [
        ([{"KeyPath": "eventName", "Condition": "Equals", "Value": "a"}], {"a"}),
        ([{"KeyPath": "eventName", "Condition": "IsIn", "Values": ["a", "b"]}], {"a", "b"}),
        ([{"KeyPath": "eventName", "Condition": "StartsWith", "Value": "a"}], None),
        ([{"KeyPath": "userAgent", "Condition": "Equals", "Value": "a"}], None),
        ([{"Key": "eventName", "Condition": "Equals", "Value": "a"}], {"a"}),
        ([{"DeepKey": ["eventName"], "Condition": "Equals", "Value": "a"}], {"a"}),
        (None, None),
    ],
)
def test_possible_values_of_a_field(found, names):
    assert possible_values(found, "eventName") == names


@pytest.mark.parametrize("found", [None, []])
def test_an_empty_list_has_no_statement(found):
    assert transpile_filters(found) is None


@pytest.mark.parametrize(
    "found, message",
    [
        ("text", "InlineFilters: must be a list of conditions"),
        (["text"], "InlineFilters[0]: must be a condition"),
        ([{"Condition": "Equals"}], "InlineFilters[0]: needs KeyPath, All or Any"),
        ([{"KeyPath": "a"}], "InlineFilters[0].Condition: None is not a known condition"),
        (
            [{"KeyPath": "a", "Condition": "Resembles", "Value": "b"}],
            "InlineFilters[0].Condition: 'Resembles' is not a known condition",
        ),
        (
            [{"KeyPath": "a", "Condition": "Equals"}],
            "InlineFilters[0].Value: Equals needs one value",
        ),
        (
            [{"KeyPath": "a", "Condition": "IsIn", "Value": "b"}],
            "InlineFilters[0].Values: IsIn needs",
        ),
        (
            [{"Any": [{"All": [{"KeyPath": "a", "Condition": "?"}]}]}],
            "InlineFilters[0].Any[0].All[0].Condition",
        ),
        ([{"Any": []}], "InlineFilters[0].Any: must be a list"),
    ],
)
def test_the_error_for_an_invalid_filter_names_its_place_and_the_reason(found, message):
    with pytest.raises(FieldError) as caught:
        transpile_filters(found)
    assert message in str(caught.value)


def named(names) -> dict:
    return {"KeyPath": "eventName", "Condition": "IsIn", "Values": names}


CIDR = {"KeyPath": "ip", "Condition": "IsIPAddressNotInCIDR", "Value": "10.0.0.0/8"}


@pytest.mark.parametrize(
    ("found", "names"),
    [
        ([CIDR, named(["a"])], None),
        ([named(["a"]), CIDR], {"a"}),
        ([named(["a", "b"]), CIDR, named(["a"])], {"a", "b"}),
        ([{"All": [named(["a"]), CIDR]}], {"a"}),
        ([{"All": [CIDR, named(["a"])]}], None),
        ([{"Any": [named(["a"]), CIDR]}, named(["a"])], None),
        ([{"KeyPath": "keys(a)", "Condition": "Equals", "Value": 1}, named(["a"])], None),
    ],
)
def test_conditions_after_one_that_can_raise_do_not_limit_the_names(found, names):
    assert possible_values(found, "eventName") == names


address = st.fixed_dictionaries(
    {
        "KeyPath": st.just("userAgent"),
        "Condition": st.sampled_from(
            ["IsIPAddressNotInCIDR", "IsIPAddressInCIDR", "IsIPAddressPublic", "IsGreaterThan"]
        ),
        "Value": st.just("10.0.0.0/8"),
    }
)
raising = st.recursive(
    single | several | address,
    lambda inner: (
        st.fixed_dictionaries({"Any": st.lists(inner, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"All": st.lists(inner, min_size=1, max_size=3)})
    ),
    max_leaves=6,
)


@given(st.lists(raising, min_size=1, max_size=3), events)
def test_an_event_with_an_impossible_name_neither_passes_nor_raises(found, event):
    names = possible_values(found, "eventName")
    if names is not None and event["eventName"] not in names:
        assert not passes(found, event)


@given(st.lists(raising, min_size=1, max_size=3), events)
def test_an_error_names_the_condition_that_raised_and_the_value(found, event):
    part = Filter(transpile_filters(found)["statement"])
    try:
        part.filter(event)
    except Exception as error:
        text = describe_error([part], event, error)
        assert text.startswith("InlineFilters: userAgent Is") and str(error) in text
        assert text.endswith(f"; the event has {event['userAgent']!r}")


@given(st.text())
def test_any_key_path_is_accepted_by_panther_core_or_refused_here(path):
    found = [{"KeyPath": path, "Condition": "Equals", "Value": 1}]
    try:
        statement = transpile_filters(found)["statement"]
    except FieldError as error:
        assert str(error).startswith("InlineFilters[0].KeyPath: ")
    else:
        Filter(statement)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("requestParameters.x-amz-acl", 'requestParameters."x-amz-acl"'),
        ("tags.aws:name", 'tags."aws:name"'),
        ("a.1st", 'a."1st"'),
    ],
)
def test_the_error_for_a_key_path_without_quotes_shows_where_they_go(path, hint):
    with pytest.raises(FieldError, match=re.escape(f"is not a valid JMESPath; write {hint}")):
        transpile_filters([{"KeyPath": path, "Condition": "Equals", "Value": 1}])
    assert transpile_filters([{"KeyPath": hint, "Condition": "Equals", "Value": 1}])
