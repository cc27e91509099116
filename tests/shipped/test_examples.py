"""Examples of settings in comments and pages: content that applies one passes its own tests.

`make test-configured` runs all other tests in a copy that applies the examples of lists.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from local_panther.content.agreements import check_agreements
from local_panther.content.filter_checks import check_filters
from tests.builders.configurations import change_settings, shipped
from tests.builders.examples import examples

pytestmark = pytest.mark.process

BIN = Path(sys.executable).parent
EXAMPLES = {example.name: example for example in examples()}


def test_examples_are_found_in_comments_and_pages():
    text = "\n".join(EXAMPLES)
    for place in ("EXPECTED_PRINCIPALS", "PERSON_ROLE_PREFIXES", "COLLAPSE_SESSIONS = False"):
        assert place in text
    assert "InlineFilters" in text and "local-panther set " in text and "role/cdk-" in text
    assert text.count("PERSON_TYPES") == 4


def passes_its_own_tests(content):
    for tool in ("panther_analysis_tool", "local-panther"):
        command = [BIN / tool, "test", "--show-failures-only"]
        done = subprocess.run(command, cwd=content, capture_output=True, text=True)
        assert done.returncode == 0 and "Failed: 0" in done.stdout, done.stdout + done.stderr
    return True


def test_unit_tests_do_not_depend_on_who_is_expected(content_copy):
    shipped(content_copy)
    change_settings(content_copy, EXPECTED_PRINCIPALS=["*"])
    assert passes_its_own_tests(content_copy)


@pytest.mark.parametrize("name", EXAMPLES)
def test_content_that_follows_an_example_passes_its_own_tests(content_copy, name):
    shipped(content_copy)
    EXAMPLES[name].apply(content_copy)
    assert check_agreements(content_copy) == check_filters(content_copy) == []
    assert passes_its_own_tests(content_copy)
