"""Records the results of panther_analysis_tool, in its own process.

They cannot be read from its output, which rules can print to as well, nor from its exit status. A
filter that raises, a `unique()` that raises, and any function that raises under
`CreateAlert: false` give `[FAIL]`, but "Failed: 0" and status 0 (1.6.0 and 1.11.1).
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from inspect import signature
from types import ModuleType
from typing import Any, TextIO

from panther_core.detection import DetectionResult
from panther_core.exceptions import UnknownDestinationError

from local_panther.box.watch import refused
from local_panther.containment import line_in
from local_panther.content.filters import describe_error
from local_panther.tool_runs.results import COMPLETE, Result

FUNCTIONS = (
    "title",
    "description",
    "reference",
    "severity",
    "runbook",
    "destinations",
    "dedup",
    "alert_context",
    "unique",
)
# Beginnings of the tool's warnings about tests that it cannot run; it reports these nowhere else.
NOT_RUN = ("AttributeError: {%s}", "Unexpected exception: {%s}")
WITHOUT_BASE = "Skipping Derived Detection"


def watch(tool: ModuleType, report: TextIO) -> None:
    """Record the results of the tool's tests from now on.

    Args:
        tool: `panther_analysis_tool.main`, some of whose names are replaced.
        report: Stream to write to, one JSON object a line, for `results.read_results`.
    """
    watcher = _Watcher(tool, report)
    logging.getLogger().addFilter(watcher)  # not a handler: with one, the tool would add none
    replaced = {
        "_run_tests": watcher.run_tests,
        "print_summary": watcher.print_summary,
        "TestCaseEvaluator": watcher.evaluator(),
    }
    vars(tool).update(replaced)


def record_refusals(report: TextIO) -> None:
    """Record what the box refused to content as failures, since results may depend on it."""
    for refusal, count in sorted(refused().items()):
        times = f" ({count:,} times)" if count > 1 else ""
        text = f"refused: line {refusal.line}: {refusal.what}{times}"
        report.write(Result(refusal.item, "", passed=False, messages=[text]).as_line() + "\n")
    report.flush()


@dataclass
class _Evaluated:
    """The evaluation of a test that ran.

    Attributes:
        data: The event.
        expected: Whether the rule should match.
        found: Result of panther_core.
        raised: Errors of the rule's functions, by name; the tool discards some of them.
        result: Final result of the tool.
    """

    data: Mapping[str, Any]
    expected: bool
    found: DetectionResult
    raised: Mapping[str, BaseException]
    result: Any


class _Watcher(logging.Filter):
    """A watcher that wraps some functions of the tool and records their results."""

    def __init__(self, tool: ModuleType, report: TextIO) -> None:
        super().__init__()
        self._report = report
        self._tool = str(tool.__file__)
        self._run_tests = tool._run_tests
        self._print_summary = tool.print_summary
        self._evaluator = tool.TestCaseEvaluator
        self._seen: list[_Evaluated | str] = []  # for each test of the current item
        self._known: dict[str, set[str]] = {}  # names of the tests that ran, by item

    def filter(self, record: logging.LogRecord) -> bool:
        """Record a warning of the tool about a test that cannot run; let all messages through."""
        if record.pathname != self._tool or not isinstance(record.args, tuple):
            return True
        if str(record.msg).startswith(NOT_RUN):
            error = record.args[0]
            self._seen.append(f"the test cannot run: {type(error).__name__}: {error}")
        elif str(record.msg).startswith(WITHOUT_BASE):
            item, base = map(str, record.args)
            message = f"BaseDetection: {base} is not in this content"
            self._write(Result(item, "", passed=False, messages=[message]))
        return True

    def run_tests(self, *args: Any, **kwargs: Any) -> Any:
        """Run the tests of one item, and record their results."""
        given = signature(self._run_tests).bind(*args, **kwargs)
        given.apply_defaults()
        named = given.arguments
        item, detection = named["detection_id"], named["detection"]
        self._seen = []
        done = self._run_tests(*args, **kwargs)
        if detection is None:
            results = [_correlation(item, test) for test in named["correlation_rule_test_results"]]
        else:
            wanted = named["test_names"]
            names = [test["Name"] for test in named["tests"]]
            chosen = [name for name in names if not wanted or name in wanted]
            results = [
                _result(item, name, detection, seen)
                for name, seen in zip(chosen, self._seen, strict=False)
            ]
        for result in results:
            self._known.setdefault(item, set()).add(result.test)
            self._write(result)
        return done

    def evaluator(self) -> type[Any]:
        """Return the tool's class that evaluates a test, extended to record the evaluation."""
        watcher = self

        class Evaluator(self._evaluator):  # type: ignore[misc, name-defined]
            def __init__(self, spec: Any, found: DetectionResult) -> None:
                super().__init__(spec, found)
                self._given = spec, found

            def interpret(self, *args: Any, **kwargs: Any) -> Any:
                spec, found = self._given
                raised = dict(_raised(found))
                result = super().interpret(*args, **kwargs)
                expected = spec.expectations.detection
                watcher._seen.append(_Evaluated(spec.data, expected, found, raised, result))
                return result

        return Evaluator

    def print_summary(self, *args: Any, **kwargs: Any) -> Any:
        """Print the summary, and record failures that are only in the summary."""
        named = signature(self._print_summary).bind(*args, **kwargs).arguments
        for item, entries in named["failed_tests"].items():
            known = self._known.get(item, set())
            others = [
                text
                for text in map(str, entries)
                if text not in known and text.rpartition(":")[0] not in known
            ]
            if others:
                self._write(Result(item, "", passed=False, messages=others))
        for file, error in named["invalid_specs"]:
            lines = str(error).splitlines() or [type(error).__name__]
            self._write(Result(str(file), "", passed=False, messages=lines))
        self._report.write(json.dumps(COMPLETE) + "\n")
        self._report.flush()
        return self._print_summary(*args, **kwargs)

    def _write(self, result: Result) -> None:
        self._report.write(result.as_line() + "\n")
        self._report.flush()


def _correlation(item: str, test: Mapping[str, Any]) -> Result:
    error = test.get("error")
    messages = [str(error)] if error else []
    name, passed = str(test.get("name", "")), bool(test.get("passed"))
    return Result(item, name, passed, messages)


def _result(item: str, name: str, detection: Any, seen: _Evaluated | str) -> Result:
    if isinstance(seen, str):
        return Result(item, name, passed=False, messages=[seen])
    notes = list(_notes(seen.raised.get("destinations")))
    if seen.result.passed:
        return Result(item, name, passed=True, notes=notes)
    messages = [*_messages(detection, seen), *notes]
    return Result(item, name, passed=False, messages=messages)


def _messages(detection: Any, seen: _Evaluated) -> Iterator[str]:
    """Yield the reasons why a test failed."""
    found, module = seen.found, getattr(detection, "module", None)
    rule = detection.matcher_function_name
    if found.filter_exception:
        yield describe_error(detection.filters, seen.data, found.filter_exception)
    if error := found.setup_exception or found.input_exception:
        yield f"{type(error).__name__}: {error}"
    if found.detection_exception:
        yield _raises(rule, found.detection_exception, module)
    elif not found.filter_exception and found.detection_output != seen.expected:
        why = "the InlineFilters do not pass the event" if found.filters_did_not_match else ""
        yield why or f"{rule}() returned {found.detection_output}, expected {seen.expected}"
    if not seen.expected:
        return  # without a match, errors of other functions do not count for the tool either
    for name, raised in seen.raised.items():
        if getattr(found, f"{name}_exception"):  # unless the tool was told to ignore it
            yield _raises(name, raised, module)
    destinations = seen.result.functions.destinationsFunction
    if destinations and not destinations.error and not destinations.matched:
        yield f"destinations() returned {destinations.output}, unlike ExpectedDestinations"


def _raised(found: DetectionResult) -> Iterator[tuple[str, BaseException]]:
    for name in FUNCTIONS:
        error = getattr(found, f"{name}_exception")
        if error:
            yield name, error


def _raises(name: str, error: BaseException, module: ModuleType | None) -> str:
    file = getattr(module, "__file__", None)
    line = line_in(error, file)
    place = f" ({os.path.relpath(str(file))}, line {line})" if line else ""
    return f"{name}() raised {type(error).__name__}: {error}{place}"


def _notes(error: BaseException | None) -> Iterator[str]:
    """Yield a note on each destination that is named twice: an instance then uses none of them.

    The tool knows no destinations, and passes any names that `destinations()` returns.
    """
    names = error.args[-1] if isinstance(error, UnknownDestinationError) else []
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield f"destinations() names {name} twice, so an instance uses none of them"
