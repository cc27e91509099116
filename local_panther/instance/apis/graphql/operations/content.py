"""The operations on content, which panther_analysis_tool uses."""

import importlib.metadata
import json
import logging
from dataclasses import asdict
from typing import Any

import yaml
from graphql import GraphQLError

from local_panther.content.filters import transpile_filters
from local_panther.content.simple import transpile_detection
from local_panther.correlation.rule_tests import run_tests
from local_panther.errors import FieldError, Problem
from local_panther.instance.check.model import Counts, UploadOutcome
from local_panther.instance.check.safe_yaml import TooLargeError, load_yaml
from local_panther.instance.jobs import Job, JobRefusedError, Jobs
from local_panther.instance.store.library import Library
from local_panther.instance.store.statistics import no_statistics

MAX_UPLOADS = 100  # under way, including those that wait
MAX_RECEIPTS = 100
NOTHING_TO_FILTER: dict[str, Any] = {"statement": {}}
NOTHING_PASSES: dict[str, Any] = {
    "statement": {"and": [{"target": "p_log_type", "operator": op} for op in ("empty", "!empty")]}
}


class ContentOperations:
    """The resolvers of operations on content."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._uploads: Jobs[Job[UploadOutcome]] = Jobs(
            "uploads",
            _failed,
            workers=1,
            most_running=MAX_UPLOADS,
            most_remembered=MAX_RECEIPTS,
        )

    def close(self) -> None:
        """Refuse further uploads."""
        self._uploads.close()

    def generalSettings(self, *_: Any) -> dict[str, Any]:
        """Return the version."""
        core = importlib.metadata.version("panther_core")
        return {"pantherVersion": f"local (panther_core {core})"}

    def featureFlags(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Return every feature flag as on."""
        return {"flags": [{"flag": flag["flag"], "treatment": True} for flag in input["flags"]]}

    def transpileFilters(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Translate inline filters."""
        return {"transpiledFilters": [json.dumps(_filter(text)) for text in input["data"]]}

    def transpileSimpleDetectionsToPython(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Translate simple detections."""
        return {"transpiledPython": [_body(text) for text in input["data"]]}

    def testCorrelationRuleYAML(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Run the unit tests of a correlation rule."""
        return {"results": _correlation_results(input["yaml"])}

    def rulePythonBody(self, *_: Any, input: str) -> dict[str, Any]:
        """Return the Python and the unit tests of a stored rule."""
        if input not in self._library.items:
            raise GraphQLError(f"{input}: no such rule is stored")
        spec = self._library.spec(input)
        is_simple = "Detection" in spec and spec["AnalysisType"] == "rule"
        body = transpile_detection(spec) if is_simple else self._library.body(input)
        return {"pythonBody": body, "tests": [_test(test) for test in spec.get("Tests") or []]}

    def uploadDetectionEntities(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Upload content, and return the outcome."""
        outcome = self._library.upload(input["data"])
        if outcome.problems:
            raise GraphQLError("; ".join(map(str, outcome.problems)))
        return _plain(outcome.statistics)

    def uploadDetectionEntitiesAsync(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Start an upload, and return its receipt."""
        return self._receipt(input["data"], store=True)

    def validateBulkUpload(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Start the check of an upload, and return its receipt; store nothing."""
        return self._receipt(input["data"], store=False)

    def detectionEntitiesUploadStatus(self, *_: Any, receiptId: str) -> dict[str, Any]:
        """Return the outcome of an upload, if it has ended."""
        outcome = self._outcome(receiptId)
        if outcome is None:
            return {"status": "NOT_PROCESSED"}
        if outcome.problems:
            issues = _issues(outcome)
            return {"status": "FAILED", "error": json.dumps({"error": "", "issues": issues})}
        statistics = _plain(outcome.statistics or no_statistics())
        return {"status": "COMPLETED", "result": statistics}

    def validateBulkUploadStatus(self, *_: Any, receiptId: str) -> dict[str, Any]:
        """Return the problems that a check found, if it has ended."""
        outcome = self._outcome(receiptId)
        if outcome is None:
            return {"status": "NOT_PROCESSED"}
        status = "FAILED" if outcome.problems else "COMPLETED"
        return {"status": status, "result": {"issues": _issues(outcome)}}

    def deleteDetections(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Delete detections, with their queries if requested."""
        with_linked, dry_run = input.get("includeSavedQueries"), input.get("dryRun")
        ids, names = self._delete(
            input["ids"], queries=False, with_linked=bool(with_linked), dry_run=bool(dry_run)
        )
        return {"ids": ids, "savedQueryNames": names}

    def deleteSavedQueriesByName(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Delete queries, with their rules if requested."""
        with_linked, dry_run = input.get("includeDetections"), input.get("dryRun")
        names, ids = self._delete(
            input["names"], queries=True, with_linked=bool(with_linked), dry_run=bool(dry_run)
        )
        return {"names": names, "detectionIDs": ids}

    def _delete(
        self, ids: list[str], *, queries: bool, with_linked: bool, dry_run: bool
    ) -> tuple[list[str], list[str]]:
        """Delete items and those that are linked to them; return the IDs of both."""
        library = self._library
        linked = library.linked(ids, queries=queries) if with_linked else []
        own = library.delete(ids, queries=queries, dry_run=dry_run)
        return own, library.delete(linked, queries=not queries, dry_run=dry_run)

    def _receipt(self, data: str, *, store: bool) -> dict[str, Any]:
        job = Job[UploadOutcome]()
        try:
            self._uploads.start(job, lambda: self._library.upload(data, store=store))
        except JobRefusedError as error:
            raise GraphQLError(str(error)) from error
        return {"receiptId": job.id}

    def _outcome(self, receipt: str) -> UploadOutcome | None:
        job = self._uploads.poll(receipt)
        if job is None:
            raise GraphQLError(f"{receipt}: no such receipt; only the latest are remembered")
        return job.outcome


def _failed(error: Exception) -> UploadOutcome:
    return UploadOutcome([Problem("", f"{type(error).__name__}: {error}")])


def _filter(text: str) -> dict[str, Any]:
    """Return a translated filter; for an invalid one, return a filter that matches nothing.

    panther_analysis_tool sends all filters of a repository in one request, and ignores all of them
    if it gets an error. So an invalid filter is not an error of the response. It makes the tests of
    its own rule fail, and the log names the problem.
    """
    try:
        return transpile_filters(_json(text)) or NOTHING_TO_FILTER
    except FieldError as error:
        logging.error("invalid filter, which fails the tests of its rule: %s, in %s", error, text)
        return NOTHING_PASSES


def _body(text: str) -> str:
    """Return the Python of a simple detection; for an invalid one, a body that raises the error.

    panther_analysis_tool sends all of them in one request too.
    """
    try:
        return transpile_detection(_json(text))
    except FieldError as error:
        return f"raise ValueError({str(error)!r})\n"
    except (AttributeError, LookupError, TypeError) as error:  # a value of the wrong type
        reason = f"is not a valid simple detection: {type(error).__name__}: {error}"
        return f"raise ValueError({reason!r})\n"


def _correlation_results(text: str) -> list[dict[str, Any]]:
    """Run the unit tests of a correlation rule.

    panther_analysis_tool skips a rule if the response is an error, and prints only the name of a
    result. So an invalid rule fails each of its tests, and the name of each result has the error.
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
