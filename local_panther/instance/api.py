"""The operations of the public API: what each answers."""

import importlib.metadata
import json
import logging
import uuid
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from importlib import resources
from typing import Any

import yaml
from graphql import (
    GraphQLError,
    GraphQLSchema,
    Source,
    build_schema,
    execute_sync,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import MaxIntrospectionDepthRule

from local_panther.content.filters import transpile_filters
from local_panther.content.log_types import managed_log_types
from local_panther.content.simple import transpile_detection
from local_panther.correlation.rule_tests import run_tests
from local_panther.errors import FieldError, Problem
from local_panther.instance.library import Library
from local_panther.instance.limits import TooLargeError, load_yaml
from local_panther.instance.model import Counts, UploadOutcome
from local_panther.instance.statistics import no_statistics

MAX_TOKENS = 2000  # of a query; those of panther_analysis_tool have some 400 at the most
MAX_RECEIPTS = 100
NOTHING_TO_FILTER: dict[str, Any] = {"statement": {}}
NOTHING_PASSES: dict[str, Any] = {
    "statement": {"and": [{"target": "p_log_type", "operator": op} for op in ("empty", "!empty")]}
}


class Api:
    """A GraphQL schema whose fields are answered by a library of content."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._jobs: OrderedDict[str, Future[UploadOutcome]] = OrderedDict()
        self._worker = ThreadPoolExecutor(max_workers=1)
        self.schema = load_schema()
        queries, mutations = self.schema.query_type, self.schema.mutation_type
        for kind in filter(None, (queries, mutations)):
            for name, field in kind.fields.items():
                field.resolve = getattr(self, f"_{name}")

    def answer(
        self, query: str, variables: dict[str, Any] | None, operation: str | None
    ) -> dict[str, Any]:
        """Run one GraphQL request and return the response as plain JSON.

        Whatever is wrong with a request becomes an error in the response. One that names what the
        schema does not have is refused with the code that clients read as "not supported".
        """
        try:
            document = parse(Source(query), max_tokens=MAX_TOKENS)
            errors = validate(self.schema, document, [*specified_rules, MaxIntrospectionDepthRule])
        except GraphQLError as error:
            return {"errors": [_with_code(error, "GRAPHQL_PARSE_FAILED")]}
        except RecursionError:
            return {"errors": [{"message": "the query is nested too deeply"}]}
        if errors:
            return {"errors": [_unsupported(error) for error in errors]}
        result = execute_sync(
            self.schema, document, variable_values=variables, operation_name=operation
        )
        return dict(result.formatted)

    def close(self) -> None:
        """Take no more uploads."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    # One method for each field of Query and Mutation, named as the field. -----------------------

    def _generalSettings(self, *_: Any) -> dict[str, Any]:
        core = importlib.metadata.version("panther_core")
        return {"pantherVersion": f"local (panther_core {core})"}

    def _schemas(self, *_: Any, input: dict[str, Any] | None = None) -> dict[str, Any]:
        """Answer the names of the managed schemas: what is in them is not public."""
        managed = input is None or input.get("isManaged") is not False
        names = sorted(managed_log_types()) if managed else []
        nodes = [{"name": name, "isManaged": True, "revision": 1, "spec": ""} for name in names]
        return {"edges": [{"node": node} for node in nodes]}

    def _featureFlags(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        return {"flags": [{"flag": flag["flag"], "treatment": True} for flag in input["flags"]]}

    def _transpileFilters(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        return {"transpiledFilters": [json.dumps(_filter(text)) for text in input["data"]]}

    def _transpileSimpleDetectionsToPython(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        return {"transpiledPython": [_body(text) for text in input["data"]]}

    def _testCorrelationRuleYAML(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        return {"results": _correlation_results(input["yaml"])}

    def _rulePythonBody(self, *_: Any, input: str) -> dict[str, Any]:
        if input not in self._library.items:
            raise GraphQLError(f"{input}: no such rule is stored")
        spec = self._library.spec(input)
        is_simple = "Detection" in spec and spec["AnalysisType"] == "rule"
        body = transpile_detection(spec) if is_simple else self._library.body(input)
        return {"pythonBody": body, "tests": [_test(test) for test in spec.get("Tests") or []]}

    def _uploadDetectionEntities(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        outcome = self._library.upload(input["data"])
        if outcome.problems:
            raise GraphQLError("; ".join(map(str, outcome.problems)))
        return _plain(outcome.statistics)

    def _uploadDetectionEntitiesAsync(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        return self._receipt(input["data"], store=True)

    def _validateBulkUpload(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        return self._receipt(input["data"], store=False)

    def _detectionEntitiesUploadStatus(self, *_: Any, receiptId: str) -> dict[str, Any]:
        outcome = self._outcome(receiptId)
        if outcome is None:
            return {"status": "NOT_PROCESSED"}
        if outcome.problems:
            issues = _issues(outcome)
            return {"status": "FAILED", "error": json.dumps({"error": "", "issues": issues})}
        statistics = _plain(outcome.statistics or no_statistics())
        return {"status": "COMPLETED", "result": statistics}

    def _validateBulkUploadStatus(self, *_: Any, receiptId: str) -> dict[str, Any]:
        outcome = self._outcome(receiptId)
        if outcome is None:
            return {"status": "NOT_PROCESSED"}
        status = "FAILED" if outcome.problems else "COMPLETED"
        return {"status": status, "result": {"issues": _issues(outcome)}}

    def _deleteDetections(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        with_linked, dry_run = input.get("includeSavedQueries"), input.get("dryRun")
        ids, names = self._delete(
            input["ids"], queries=False, with_linked=bool(with_linked), dry_run=bool(dry_run)
        )
        return {"ids": ids, "savedQueryNames": names}

    def _deleteSavedQueriesByName(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        with_linked, dry_run = input.get("includeDetections"), input.get("dryRun")
        names, ids = self._delete(
            input["names"], queries=True, with_linked=bool(with_linked), dry_run=bool(dry_run)
        )
        return {"names": names, "detectionIDs": ids}

    def _delete(
        self, ids: list[str], *, queries: bool, with_linked: bool, dry_run: bool
    ) -> tuple[list[str], list[str]]:
        """Delete items, and those that are linked to them; returns both."""
        library = self._library
        linked = library.linked(ids, queries=queries) if with_linked else []
        own = library.delete(ids, queries=queries, dry_run=dry_run)
        return own, library.delete(linked, queries=not queries, dry_run=dry_run)

    def _receipt(self, data: str, *, store: bool) -> dict[str, Any]:
        receipt = str(uuid.uuid4())
        self._jobs[receipt] = self._worker.submit(self._library.upload, data, store=store)
        while len(self._jobs) > MAX_RECEIPTS and next(iter(self._jobs.values())).done():
            self._jobs.popitem(last=False)
        return {"receiptId": receipt}

    def _outcome(self, receipt: str) -> UploadOutcome | None:
        if receipt not in self._jobs:
            raise GraphQLError(f"{receipt}: no such receipt")
        job = self._jobs[receipt]
        if not job.done():
            return None
        if error := job.exception():
            logging.error("an upload failed", exc_info=error)
            return UploadOutcome([Problem("", f"{type(error).__name__}: {error}")])
        return job.result()


def _filter(text: str) -> dict[str, Any]:
    """Return a translated filter; for an invalid one, a filter that lets nothing through.

    panther_analysis_tool asks for all filters of a repository at once, and where it gets an error
    it tests every rule without any. So an invalid filter is not an error of the answer: it fails
    the tests of its own rule, and the log says what is wrong with it.
    """
    try:
        return transpile_filters(_json(text)) or NOTHING_TO_FILTER
    except FieldError as error:
        logging.error("invalid filter, which fails the tests of its rule: %s, in %s", error, text)
        return NOTHING_PASSES


def _body(text: str) -> str:
    """Return the Python of a simple detection; for an invalid one, a body that raises the reason.

    The tool asks for all of them at once too.
    """
    try:
        return transpile_detection(_json(text))
    except FieldError as error:
        return f"raise ValueError({str(error)!r})\n"


def load_schema() -> GraphQLSchema:
    """Return the schema in `schema.graphql`."""
    return build_schema(resources.files(__package__).joinpath("schema.graphql").read_text("utf-8"))


def _correlation_results(text: str) -> list[dict[str, Any]]:
    """Run the unit tests of a correlation rule.

    panther_analysis_tool skips a rule that the API answers with an error, and prints nothing of a
    result but its name. So a rule that is wrong fails each of its tests by a name that says why.
    """
    try:
        spec = load_yaml(text)
    except TooLargeError as error:
        raise GraphQLError(f"the rule {error}") from error
    except yaml.YAMLError as error:
        raise GraphQLError(f"the rule is not valid YAML: {error}") from error
    if not isinstance(spec, dict):
        raise GraphQLError("the rule is not a mapping of keys")
    try:
        results = run_tests(spec)
    except FieldError as error:
        names = [
            str(test.get("Name")) for test in spec.get("Tests") or [] if isinstance(test, dict)
        ]
        return [
            _result(name, passed=False, error=str(error))
            for name in names or [str(spec.get("RuleID"))]
        ]
    return [_result(result.name, passed=result.passed, error=result.error) for result in results]


def _result(name: str, *, passed: bool, error: str | None) -> dict[str, Any]:
    return {"name": f"{name}: {error}" if error else name, "passed": passed, "error": error}


def _test(test: dict[str, Any]) -> dict[str, Any]:
    mocks = [
        {"objectName": mock["objectName"], "returnValue": str(mock["returnValue"])}
        for mock in test.get("Mocks") or []
    ]
    log = test.get("Log", test.get("Resource"))
    return {
        "name": test["Name"],
        "expectedResult": test["ExpectedResult"],
        "resource": json.dumps(log, default=str),
        "mocks": mocks,
    }


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GraphQLError(f"not JSON: {error}") from error


def _issues(outcome: UploadOutcome) -> list[dict[str, Any]]:
    return [
        {"path": problem.where, "errorMessage": problem.message} for problem in outcome.problems
    ]


def _plain(statistics: dict[str, Counts]) -> dict[str, dict[str, int]]:
    return {name: asdict(counts) for name, counts in statistics.items()}


def _with_code(error: GraphQLError, code: str) -> dict[str, Any]:
    return {**error.formatted, "extensions": {"code": code}}


def _unsupported(error: GraphQLError) -> dict[str, Any]:
    refused = _with_code(error, "GRAPHQL_VALIDATION_FAILED")
    return {**refused, "message": f"not supported by the local Panther: {error.message}"}
