"""The item class of panther_analysis_tool, imported without the clients its commands need."""

from local_panther.imports import deferred

CLIENTS = (
    "panther_analysis_tool.backend.client",
    "panther_analysis_tool.backend.lambda_client",
    "panther_analysis_tool.backend.public_api_client",
    "boto3",
    "jsonschema",
    "requests",
)

with deferred(*CLIENTS):
    from panther_analysis_tool.core.definitions import ClassifiedAnalysis

__all__ = ["CLIENTS", "ClassifiedAnalysis"]
