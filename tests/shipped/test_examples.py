"""Examples of settings in comments and pages: content that applies one passes its own tests.

Here are the commands that change several settings at once; the other kinds of examples are in
test_setting_examples.py, test_command_examples.py and test_condition_examples.py.
`make test-configured` runs all other tests in a copy that applies the examples of lists.
"""

import pytest

from tests.builders.configurations import change_settings, shipped
from tests.builders.examples import KINDS, examples, examples_of
from tests.shipped.example_checks import assert_can_be_followed, assert_its_tests_pass

pytestmark = pytest.mark.process

EXAMPLES = examples_of("combination")


def test_examples_are_found_in_comments_and_pages():
    text = "\n".join(example.name for example in examples())
    for place in ("EXPECTED_PRINCIPALS", "PERSON_ROLE_PREFIXES", "COLLAPSE_SESSIONS = False"):
        assert place in text
    assert "InlineFilters" in text and "local-panther set " in text and "role/cdk-" in text
    assert text.count("PERSON_TYPES") == 4


def test_each_example_is_in_one_of_the_kinds_that_files_test():
    tested = [name for kind in KINDS for name in examples_of(kind)]
    assert sorted(tested) == sorted(example.name for example in examples())
    assert all(map(examples_of, KINDS)) and set(KINDS) == {
        "setting",
        "command",
        "combination",
        "condition",
    }


def test_unit_tests_do_not_depend_on_who_is_expected(content_copy):
    shipped(content_copy)
    change_settings(content_copy, EXPECTED_PRINCIPALS=["*"])
    assert_its_tests_pass(content_copy)


@pytest.mark.parametrize("name", EXAMPLES)
def test_content_that_follows_an_example_passes_its_own_tests(content_copy, name):
    assert_can_be_followed(EXAMPLES[name], content_copy)
