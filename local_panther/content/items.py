"""An item of content as panther_analysis_tool has it, without what only its commands use."""

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
