"""The functions of panther_analysis_tool that read and check content, imported without clients."""

from local_panther.content.items import CLIENTS
from local_panther.content.verdicts import remember_verdicts
from local_panther.imports import deferred

with deferred(*CLIENTS):
    from panther_analysis_tool import analysis_utils
    from panther_analysis_tool.analysis_utils import classify_analysis, load_analysis_specs

remember_verdicts(analysis_utils)

__all__ = ["classify_analysis", "load_analysis_specs"]
