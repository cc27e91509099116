"""Custom schemas: what is refused, with which message."""

import pytest
import yaml

from tests.serving.pat.conftest import SCHEMA

pytestmark = pytest.mark.process

UPDATE = """mutation($i: CreateOrUpdateSchemaInput!)
    {createOrUpdateSchema(input: $i) {schema {name revision}}}"""


@pytest.mark.parametrize(
    ("change", "message"),
    (
        ({"schema": "Custom.Other"}, "schema: must be 'Custom.Application', not 'Custom.Other'"),
        ({"version": 1}, "version: must be 0, not 1"),
        ({"fields": []}, "fields: must be a list of fields"),
        ({"fields": [{"type": "string"}]}, "fields[0]: needs a name"),
        ({"fields": [{"name": "a", "type": "text"}]}, "fields[0].type: 'text' is not one of"),
        ({"fields": [{"name": "a", "type": "array"}]}, "fields[0].element: is missing"),
        ({"fields": [{"name": "a", "type": "object"}]}, "fields[0].fields: must be a list"),
        ({"fields": [{"name": "a", "type": "timestamp"}]}, "fields[0].timeFormats: is missing"),
        ({"fields": [{"name": "a", "type": "int"}] * 2}, "'a' appears twice"),
    ),
)
def test_an_invalid_schema_is_refused_with_its_key(instance, change, message):
    spec = yaml.safe_dump(SCHEMA | change)
    schema = {"name": "Custom.Application", "spec": spec, "revision": 0}
    (error,) = instance.send(UPDATE, i=schema)["errors"]
    assert message in error["message"]
    assert instance.ask("{schemas(input: {isManaged: false}) {edges {node {name}}}}")["edges"] == []


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    (
        ("Custom.Application", "a: [", "while parsing"),
        ("Custom.Application", "- 1", "must be a mapping"),
        ("Application", "version: 0", "is not the name of a custom log type"),
    ),
)
def test_anything_but_a_schema_is_refused(instance, name, spec, message):
    (error,) = instance.send(UPDATE, i={"name": name, "spec": spec, "revision": 0})["errors"]
    assert message in error["message"]


def test_a_schema_that_was_changed_concurrently_is_not_overwritten(instance):
    schema = {"name": "Custom.Application", "spec": yaml.safe_dump(SCHEMA), "revision": 0}
    assert instance.ask(UPDATE, i=schema)["schema"]["revision"] == 1
    (error,) = instance.send(UPDATE, i=schema)["errors"]
    assert "is stored with revision 1" in error["message"]
