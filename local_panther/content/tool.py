"""What reads and checks content: panther_analysis_tool, without what only other commands use."""

from local_panther.content.verdicts import remember_verdicts
from local_panther.imports import deferred

CLIENTS = (
    "panther_analysis_tool.backend.lambda_client",
    "panther_analysis_tool.backend.public_api_client",
    "boto3",
    "jsonschema",
    "requests",
)

with deferred(*CLIENTS):
    from panther_analysis_tool import analysis_utils
    from panther_analysis_tool.analysis_utils import classify_analysis, load_analysis_specs
    from panther_analysis_tool.core.definitions import ClassifiedAnalysis

remember_verdicts(analysis_utils)

__all__ = ["ClassifiedAnalysis", "classify_analysis", "load_analysis_specs"]
