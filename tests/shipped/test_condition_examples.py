"""Examples of people and filters: content that applies one passes its own tests."""

import pytest

from tests.builders.examples import examples_of
from tests.shipped.example_checks import assert_can_be_followed

pytestmark = pytest.mark.process

EXAMPLES = examples_of("condition")


@pytest.mark.parametrize("name", EXAMPLES)
def test_content_that_follows_an_example_passes_its_own_tests(content_copy, name):
    assert_can_be_followed(EXAMPLES[name], content_copy)
