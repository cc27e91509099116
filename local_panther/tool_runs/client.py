"""Creates the tool's client of the temporary instance only when the tool needs it.

Most tests ask the instance only for its log types, and these are known without it. Creating the
client and the instance takes longer than testing a rule.
"""

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any

from panther_analysis_tool.backend import client

from local_panther.content.log_types import managed_log_types

CLIENT, OPTIONS = "PublicAPIClient", "PublicAPIClientOptions"
# The line that the real client logs when it is created
ENDPOINT = "Panther Public API endpoint: %s"


def make_client_when_needed(tool: ModuleType, url: str) -> None:
    """Let the tool create its client of our instance when it first calls the instance.

    Args:
        tool: `panther_analysis_tool.util`, whose names are replaced.
        url: Address of our instance; clients of others are created at once.
    """
    names = vars(tool)
    if not {CLIENT, OPTIONS} <= names.keys() or not hasattr(client, "ListSchemasResponse"):
        return
    real, real_options = names[CLIENT], names[OPTIONS]

    def made(options: dict[str, Any]) -> Any:
        def make() -> Any:
            return real(real_options(**options))

        return _Client(make, url) if options.get("host") == url else make()

    names[CLIENT], names[OPTIONS] = made, dict


class _Client:
    """A stand-in for the client that knows the log types, and creates the client for all else."""

    def __init__(self, make: Callable[[], Any], url: str) -> None:
        logging.info(ENDPOINT, url)
        self._make = make
        self._real: Any = None

    def list_schemas(self, params: Any) -> Any:
        """Return the log types that the instance would list."""
        if params.is_managed is not True:
            return self.__getattr__("list_schemas")(params)
        schemas = [
            client.Schema(
                created_at="",
                description="",
                is_managed=True,
                name=name,
                reference_url="",
                revision=1,
                spec="",
                updated_at="",
                field_discovery_enabled=False,
            )
            for name in sorted(managed_log_types())
        ]
        return client.BackendResponse(client.ListSchemasResponse(schemas), 200)

    def __getattr__(self, name: str) -> Any:
        if self._real is None:
            logging.disable(logging.INFO)  # else the endpoint is logged a second time
            try:
                self._real = self._make()
            finally:
                logging.disable(logging.NOTSET)
        return getattr(self._real, name)
