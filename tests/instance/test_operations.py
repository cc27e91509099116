"""Operations of panther_analysis_tool are answered, and other requests refused."""

import json
from pathlib import Path

import panther_analysis_tool.backend
import pytest
import yaml
from graphql import GraphQLError, parse, validate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import from_schema, nodes
from panther_core.filter import Filter

from local_panther.instance.apis.graphql.api import load_schema
from tests.builders.correlations import FIELD, group
from tests.instance.conftest import TOKEN

pytestmark = pytest.mark.process

DOCUMENTS = sorted((Path(panther_analysis_tool.backend.__file__).parent / "graphql").iterdir())


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_the_schema_has_all_that_the_tool_requests(path):
    """Fails if a new release of the tool requests more."""
    assert validate(load_schema(), parse(path.read_text())) == []


@pytest.mark.parametrize(
    "document",
    (
        "mutation {createS3Source(input: {}) {logSource {integrationId}}}",
        "{policies {edges {node {id}}}}",
        "{generalSettings {pantherVersion companyName}}",
    ),
)
def test_unsupported_operations_are_refused_as_by_an_instance(instance, document):
    answer = instance.send(document)
    assert answer["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    assert "not supported by the local Panther" in answer["errors"][0]["message"]


class TestAnswers:
    def test_the_version_names_panther_core(self, instance):
        assert (
            "panther_core" in instance.ask("{generalSettings {pantherVersion}}")["pantherVersion"]
        )

    def test_schemas_are_listed(self, instance):
        query = "query($i: SchemasInput!) {schemas(input: $i) {edges {node {name}}}}"
        edges = instance.ask(query, i={"isManaged": True})["edges"]
        names = {edge["node"]["name"] for edge in edges}
        assert {"AWS.CloudTrail", "Okta.SystemLog", "Wiz.Issues"} <= names
        assert instance.ask(query, i={"isManaged": False}) == {"edges": []}

    def test_filters_are_translated(self, instance):
        found = [{"KeyPath": "a", "Condition": "Equals", "Value": 1}]
        query = (
            "mutation($i: TranspileFiltersInput!) {transpileFilters(input: $i) {transpiledFilters}}"
        )
        data = [json.dumps(found), "null", "[]"]
        statements = instance.ask(query, i={"data": data})["transpiledFilters"]
        first, *others = (Filter(json.loads(text)["statement"]) for text in statements)
        assert first.filter({"a": 1}) and not first.filter({"a": 2})
        assert all(other.filter({"a": 2}) for other in others)

    def test_an_unknown_condition_only_affects_its_own_filter(self, instance, caplog):
        query = (
            "mutation($i: TranspileFiltersInput!) {transpileFilters(input: $i) {transpiledFilters}}"
        )
        data = [
            json.dumps([{"KeyPath": "a", "Condition": condition, "Value": 1}])
            for condition in ("Resembles", "Equals")
        ]
        wrong, right = instance.ask(query, i={"data": data})["transpiledFilters"]
        for event in ({}, {"a": 1}, {"p_log_type": "x"}, {"p_log_type": ""}):
            assert not Filter(json.loads(wrong)["statement"]).filter(event)
        assert Filter(json.loads(right)["statement"]).filter({"a": 1})
        assert "InlineFilters[0].Condition: 'Resembles'" in caplog.text

    def test_an_invalid_simple_detection_only_affects_its_own_body(self, instance):
        query = (
            "mutation($i: TranspileSimpleDetectionsToPythonInput!) "
            "{transpileSimpleDetectionsToPython(input: $i) {transpiledPython}}"
        )
        good = {"Detection": [{"Key": "a", "Condition": "Equals", "Value": 1}]}
        data = [json.dumps(spec) for spec in ({"Detection": []}, good)]
        wrong, right = instance.ask(query, i={"data": data})["transpiledPython"]
        with pytest.raises(ValueError, match="Detection: must be a list"):
            exec(wrong, {})
        assert "def rule(" in right

    def test_simple_detections_are_translated(self, instance):
        spec = {"Detection": [{"Key": "a", "Condition": "Equals", "Value": 1}]}
        query = (
            "mutation($i: TranspileSimpleDetectionsToPythonInput!) "
            "{transpileSimpleDetectionsToPython(input: $i) {transpiledPython}}"
        )
        (body,) = instance.ask(query, i={"data": [json.dumps(spec)]})["transpiledPython"]
        namespace: dict = {}
        exec(body, namespace)
        assert namespace["rule"]({"a": 1}) and not namespace["rule"]({"a": 2})

    TEST_RULE = (
        "mutation($i: TestCorrelationRuleYAMLInput!) "
        "{testCorrelationRuleYAML(input: $i) {results {name passed error}}}"
    )

    def results(self, instance, spec):
        return instance.ask(self.TEST_RULE, i={"yaml": yaml.safe_dump(spec)})["results"]

    def test_tests_of_correlation_rules_run(self, instance):
        both = [{"ID": s, "Matches": {FIELD: {"alice": [0]}}} for s in "ab"]
        tests = [
            {"Name": "right", "ExpectedResult": True, "RuleOutputs": both},
            {"Name": "wrong", "ExpectedResult": False, "RuleOutputs": both},
            {"Name": "odd", "ExpectedResult": False, "RuleOutputs": [{"ID": "x"}]},
        ]
        right, wrong, odd = self.results(instance, group("a", "b") | {"Tests": tests})
        assert right == {"name": "right", "passed": True, "error": None}
        assert wrong == {"name": "wrong", "passed": False, "error": None}
        assert not odd["passed"] and "'x' is not a step" in odd["error"]

    def test_an_invalid_correlation_rule_fails_each_of_its_tests_by_name(self, instance):
        """The tool prints only the names of results, and skips a rule on an error."""
        tests = [{"Name": name, "ExpectedResult": True, "RuleOutputs": []} for name in ("x", "y")]
        results = self.results(instance, group("a") | {"Tests": tests})
        assert [r["name"][:2] for r in results] == ["x:", "y:"]
        assert all("needs 2 to 50 steps" in r["name"] and not r["passed"] for r in results)

    @pytest.mark.parametrize("text", ["a: [", "- 1", "7"])
    def test_a_correlation_rule_that_is_not_a_mapping_is_an_error(self, instance, text):
        assert "errors" in instance.send(self.TEST_RULE, i={"yaml": text})

    def test_unknown_receipts_and_rules_are_errors(self, instance):
        for query in (
            '{detectionEntitiesUploadStatus(receiptId: "x") {status}}',
            '{validateBulkUploadStatus(receiptId: "x") {status}}',
            '{rulePythonBody(input: "x") {pythonBody}}',
        ):
            assert "no such" in instance.send(query)["errors"][0]["message"]


class TestAccess:
    @pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", "tökén"])
    def test_a_request_needs_the_token(self, instance, token):
        token = token.encode().decode("latin-1") if token else token
        status, answer = instance.post(b'{"query": "{generalSettings {pantherVersion}}"}', token)
        assert status == 403 and "token" in answer["errors"][0]["message"]

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b"7",
            b"{}",
            b'{"query": 7}',
            b'{"query": "{x}", "variables": []}',
            b'{"query": "{x}", "operationName": 3}',
            b"\xff\xfe",
            b"[" * 100_000,
        ],
    )
    def test_a_malformed_request_is_refused(self, instance, body):
        status, answer = instance.post(body)
        assert status == 400 and answer["errors"]

    @pytest.mark.parametrize(
        "query",
        [
            "",
            "{",
            "{nonsense}",
            "{" + "a{" * 3000,
            "query($x: " + "[" * 1500 + "Int" + "]" * 400 + ") {a}",
            "{__schema{types{fields{type{fields{type{fields{type{fields{type{name}}}}}}}}}}}",
            "query A {generalSettings {pantherVersion}} query B {generalSettings {pantherVersion}}",
            "fragment f on Query {...f} {...f}",
        ],
    )
    def test_an_invalid_query_is_an_error(self, instance, query):
        assert instance.send(query)["errors"]


FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


NODES = st.booleans().map(nodes.Boolean) | st.integers(-9, 9).map(nodes.Int)
SCALARS = {
    "DateTime": (st.datetimes().map(str) | st.text(max_size=9)).map(nodes.String),
    "JSON": NODES | st.lists(NODES, max_size=2).map(nodes.List),
}


class TestFuzz:
    """Generated requests: each gets data or an error, and the server answers the next one."""

    def check(self, instance, query, **variables):
        body = json.dumps({"query": query, "variables": variables}).encode()
        status, answer = instance.post(body)
        assert status == 200
        assert answer.get("errors") or answer.get("data")
        assert instance.ask("{generalSettings {pantherVersion}}")

    @FUZZ
    @given(from_schema(load_schema(), custom_scalars=SCALARS))
    def test_any_valid_operation_gets_data_or_an_error(self, instance, query):
        self.check(instance, query)

    @FUZZ
    @given(st.text() | st.text(alphabet="{}()[]:!$@.\"'abc \n", max_size=60))
    def test_any_text_gets_data_or_an_error(self, instance, text):
        self.check(instance, text)

    @FUZZ
    @given(
        st.recursive(
            st.none() | st.integers() | st.text(),
            lambda s: (
                st.lists(s, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "RuleID",
                            "Detection",
                            "Group",
                            "Sequence",
                            "ID",
                            "Schedule",
                            "Tests",
                            "RuleOutputs",
                            "Matches",
                            "Transitions",
                            "Match",
                        ]
                    ),
                    s,
                    max_size=4,
                )
            ),
        )
    )
    def test_any_correlation_rule_gets_results_or_an_error(self, instance, spec):
        self.check(instance, TestAnswers.TEST_RULE, i={"yaml": yaml.safe_dump(spec)})


def test_no_query_has_the_name_of_a_mutation():
    text = (
        Path(__file__).parents[2] / "local_panther/instance/apis/graphql/schema.graphql"
    ).read_text()
    try:
        parse(text)
    except GraphQLError as error:  # pragma: no cover
        pytest.fail(str(error))
    assert set(load_schema().mutation_type.fields) & set(load_schema().query_type.fields) == set()
