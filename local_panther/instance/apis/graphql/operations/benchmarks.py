"""The operations of `panther_analysis_tool benchmark`, which replays a rule over stored records."""

from typing import Any

from graphql import GraphQLError

from local_panther.instance.instance import SUMMARY, Instance
from local_panther.instance.jobs import JobRefusedError
from local_panther.instance.lake.benchmarks import DONE, RUNNING, Benchmark
from local_panther.times import HOUR, iso, parse_time


class BenchmarkOperations:
    """The resolvers of benchmarks."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def createPerfTest(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Start a benchmark."""
        hour = parse_time(str(input["hour"]))
        if hour is None:
            raise GraphQLError(f"hour: {input['hour']!r} is not a time")
        try:
            found = self._instance.benchmarks.start(input["detection"], input["logType"], hour)
        except JobRefusedError as error:
            raise GraphQLError(str(error)) from error
        return {"replay": self._json(found)}

    def replay(self, *_: Any, id: str) -> dict[str, Any]:
        """Return a benchmark."""
        return self._json(self._get(id))

    def stopReplay(self, *_: Any, input: dict[str, Any]) -> dict[str, Any]:
        """Stop a benchmark."""
        found = self._get(input["id"])
        self._instance.benchmarks.stop(found)
        return {"replay": self._json(found)}

    def _get(self, benchmark_id: str) -> Benchmark:
        found = self._instance.benchmarks.get(benchmark_id)
        if found is None:
            raise GraphQLError(f"{benchmark_id}: no such replay; only the latest are remembered")
        return found

    def _json(self, found: Benchmark) -> dict[str, Any]:
        measured, completed = found.measured, found.completed
        ended = None if completed is None else iso(completed)
        summary = self._instance.alerts.fact(SUMMARY) or {}
        progress = 0 if found.state == RUNNING else 1
        return {
            "id": found.id,
            "state": found.state,
            "createdAt": iso(found.started),
            "updatedAt": ended or iso(found.started),
            "completedAt": ended,
            "detectionId": measured.rule_id,
            "replayType": "PERF_TEST",
            "scope": {
                "logTypes": [found.log_type],
                "dataWindow": {
                    "timeWindow": {"startsAt": iso(found.hour), "endsAt": iso(found.hour + HOUR)}
                },
            },
            "summary": {
                "totalAlerts": measured.alerts,
                "completedAt": ended,
                "ruleErrorCount": measured.errors,
                "ruleMatchCount": measured.matches,
                "evaluationProgress": progress,
                "computationProgress": int(found.state == DONE),
                "logDataSizeEstimate": sum(summary.get("bytes", {}).values()),
                "matchesProcessedCount": measured.matches,
                "eventsProcessedCount": measured.events,
                "eventsMatchedCount": measured.matches,
                "readTimeNanos": measured.read_nanos,
                "processingTimeNanos": measured.processing_nanos,
            },
        }
