"""Tests of which texts the ARN of a role can equal, start with, end with or contain."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_panther.content.role_arns import PATH, partitions, why_never

ROLE = re.compile(
    rf"arn:(?:{'|'.join(partitions())}):iam::[0-9]{{12}}:role/"
    r"(?:[!-~]{1,510}/)?[A-Za-z0-9_+=,.@-]{1,64}"
)
PARTS = ("whole", "start", "end", "inside")


def arns(path_characters):
    """Return a strategy for ARNs of roles, with and without a path."""
    return st.builds(
        "arn:{}:iam::{}:role/{}{}".format,
        st.sampled_from(partitions()),
        st.from_regex("[0-9]{12}", fullmatch=True),
        st.just("") | st.from_regex(f"{path_characters}{{1,20}}/", fullmatch=True),
        st.from_regex("[A-Za-z0-9_+=,.@-]{1,64}", fullmatch=True),
    )


@given(arn=arns("[!-9;-~]"), data=st.data())
def test_every_part_of_a_roles_arn_is_possible(arn, data):
    begin = data.draw(st.integers(0, len(arn) - 1))
    end = data.draw(st.integers(begin + 1, len(arn)))
    assert why_never(arn, "whole") is None
    assert why_never(arn[:end], "start") is None
    assert why_never(arn[begin:], "end") is None
    assert why_never(arn[begin:end], "inside") is None


@given(arn=arns(PATH))
def test_a_path_may_have_every_character_that_aws_allows(arn):
    assert [why_never(arn, part) for part in PARTS] == [None] * 4


@given(arn=arns(PATH), place=st.integers(0, 60), text=st.text(" /:*0aI", max_size=2))
def test_a_changed_arn_is_possible_exactly_if_it_has_the_documented_form(arn, place, text):
    changed = arn[:place] + text + arn[place + 1 :]
    assert (why_never(changed, "whole") is None) == bool(ROLE.fullmatch(changed))


@pytest.mark.parametrize(
    "text, part",
    [
        ("", "inside"),
        ("arn:", "start"),
        ("arn:aws", "start"),
        ("arn:aws-us", "start"),
        ("arn:aws:iam::1234", "start"),
        ("arn:aws:iam::123456789012:role/team/", "start"),
        ("Admin", "end"),
        (":role/Admin", "end"),
        ("e/Admin", "end"),
        ("012:role/Admin", "end"),
        ("role/break-glass/", "inside"),
        ("::123456789012:", "inside"),
        ("123456789012", "inside"),
        ("team:x/", "inside"),
        ("aws-reserved/sso.amazonaws.com", "inside"),
        ("x" * 500, "inside"),
    ],
)
def test_texts_that_can_be_part_of_an_arn_are_accepted(text, part):
    assert why_never(text, part) is None


LONG = "arn:aws:iam::123456789012:role/" + "x" * 65


@pytest.mark.parametrize(
    "text, part, reason",
    [
        (
            "arn:aws:sts::123456789012:assumed-role/Admin/alice",
            "whole",
            "it is the ARN of a role's session; write that of the role, "
            "arn:aws:iam::123456789012:role/Admin, with any path",
        ),
        ("arn:aws:iam::123456789012:user/alice", "whole", "it names 'user/alice', not a role"),
        ("arn:aws:iam::123456789012:assumed-role/A/b", "whole", "'assumed-role/A/b', not a role"),
        ("arn:aws:iam::123456789012:root", "whole", "it names 'root', not a role"),
        ("arn:aws:iam::123456789012:Role/Admin", "whole", "it names 'Role/Admin', not a role"),
        ("arn:aws:iam::12345678901:role/Admin", "whole", "12 digits, but '12345678901' has 11"),
        ("arn:aws:iam::1234567890123:role/Admin", "whole", "but '1234567890123' has 13"),
        ("arn:aws:iam::1234-5678-9012:role/A", "whole", "is not an account ID of 12 digits"),
        ("arn:aws:iam:::role/Admin", "whole", "'' has 0"),
        ("arn:aws:ima::123456789012:role/Admin", "whole", "role's ARN is iam, not 'ima'"),
        ("arn:aws:sts::123456789012:role/Admin", "whole", "role's ARN is iam, not 'sts'"),
        ("arn:aw:iam::123456789012:role/Admin", "whole", "'aw' is not an AWS partition; those"),
        ("arn:aws:iam:us-east-1:123456789012:role/A", "whole", "no region; leave out 'us-east-1'"),
        ("arn:aws:iam:123456789012:role/Admin", "whole", "leave out '123456789012'"),
        ("arn:aws:iam::123456789012:role/", "whole", "the name of the role is missing"),
        ("arn:aws:iam::123456789012:role", "whole", "the name of the role is missing"),
        ("arn:aws:iam::123456789012", "whole", "it is not complete"),
        ("arn:aws:iam::123456789012:role/Full Admin", "whole", "role names cannot contain ' '"),
        ("arn:aws:iam::123456789012:role/Admin ", "whole", "role names cannot contain ' '"),
        ("arn:aws:iam::123456789012:role/a/Büro", "whole", "role names cannot contain 'ü'"),
        ("arn:aws:iam::123456789012:role/a b/Admin", "whole", "no role's ARN is it"),
        (LONG, "whole", "at most 64 characters"),
        ("arn:aw:", "start", "'aw' is not an AWS partition"),
        ("arn:aws:ima", "start", "role's ARN is iam, not 'ima'"),
        ("arn:aws:iam::12345678901:", "start", "has 11"),
        ("arn:aws:iam::1234567890123", "start", "has 13"),
        ("arn:aws:iam::123456789012:user", "start", "it names 'user', not a role"),
        ("aws:iam::", "start", "no role's ARN starts with it; an example is arn:aws:iam::12345678"),
        ("role/Admin", "start", "no role's ARN starts with it"),
        ("role/", "end", "no role's ARN ends with it"),
        ("/Full Admin", "end", "no role's ARN ends with it"),
        ("Admin:", "end", "no role's ARN ends with it"),
        (":user/alice", "end", "no role's ARN ends with it"),
        ("x" * 65, "end", "no role's ARN ends with it"),
        (":assumed-role/", "inside", "no role's ARN contains it"),
        ("::12345678901:role/", "inside", "no role's ARN contains it"),
        ("arn:aws:sts::", "inside", "role's ARN is iam, not 'sts'"),
        ("break glass", "inside", "no role's ARN contains it"),
        ("x" * 600, "inside", "no role's ARN contains it"),
    ],
)
def test_texts_that_no_arn_can_have_are_refused_with_a_reason(text, part, reason):
    assert reason in (why_never(text, part) or "")
