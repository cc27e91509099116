"""The package configured as README says who is a principal: its alerts change as expected."""

import pytest

from tests.shipped.test_configurations import OF_PRINCIPALS, assert_alerts_change


@pytest.mark.long
@pytest.mark.parametrize("name", OF_PRINCIPALS)
def test_alerts_change_as_configured(content_copy, tmp_path, name):
    assert_alerts_change(name, content_copy, tmp_path)
