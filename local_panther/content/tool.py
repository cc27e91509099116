"""The functions of panther_analysis_tool that read and check content, imported without clients."""

import io
from typing import Any

import yaml

from local_panther.content.items import CLIENTS
from local_panther.content.verdicts import remember_verdicts
from local_panther.imports import deferred

with deferred(*CLIENTS):
    from panther_analysis_tool import analysis_utils
    from panther_analysis_tool.analysis_utils import classify_analysis, load_analysis_specs

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # PyYAML may be built without libyaml

remember_verdicts(analysis_utils)

__all__ = ["classify_analysis", "load_analysis_specs", "load_yaml"]


def load_yaml(content: bytes) -> Any:
    """Return the value of a YAML file as the tool reads it, from the cache if it was read before.

    Raises:
        yaml.YAMLError, ValueError, RecursionError: It is not valid.
    """
    loader = getattr(analysis_utils, "_PyYAMLFastLoader", None)  # older versions have none
    stream = io.BytesIO(content)
    return loader().load(stream) if loader else yaml.load(stream, Loader=LOADER)
