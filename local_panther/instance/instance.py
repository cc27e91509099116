"""An instance: its content, and the results of the latest replay."""

import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from local_panther.instance.alerts.incident_model import FoundIncident
from local_panther.instance.alerts.model import FoundAlert
from local_panther.instance.alerts.store import AlertStore
from local_panther.instance.lake.benchmarks import Benchmarks
from local_panther.instance.lake.queries import LakeQueries
from local_panther.instance.lake.rendering import Renderer
from local_panther.instance.store.library import Library
from local_panther.instance.store.state_folder import LAKE_NAME

LAKE, SUMMARY, QUERIES = "lake", "summary", "queries"  # names of facts in the alert store


class Instance:
    """The content, alerts and data lake that a server offers.

    Attributes:
        library: The content.
        alerts: The alerts and incidents.
        lake: Queries of the data lake.
        benchmarks: Benchmarks of rules over the lake.
    """

    def __init__(self, state: Path, *, trust: bool = False) -> None:
        """Open a state folder, or create one.

        Args:
            state: The folder.
            trust: Run uploaded code without the box.

        Raises:
            ContentError: The folder is in use, is not a state folder, or has an invalid index.
            OSError: The folder cannot be created or read.
        """
        self.library = Library(state, trust=trust)
        try:
            self.alerts = AlertStore(self.library.folder)
            self._remove_old_lakes()
        except BaseException:
            self.library.close()
            raise
        self._renderer = Renderer(self.library)
        self.lake = LakeQueries(lambda: self.databases, self._renderer.rendered)
        self.benchmarks = Benchmarks(self.library, lambda: self.databases, trust=trust)

    def close(self) -> None:
        """Stop all jobs, and release the lock on the folder."""
        self.benchmarks.close()
        self._renderer.close()  # a query of the lake may wait for it
        self.lake.close()
        self.alerts.close()
        self.library.close()

    @property
    def databases(self) -> Path | None:
        """The folder of the lake's databases; None before the first replay."""
        name = self.alerts.fact(LAKE)
        folder = self.library.folder / name if name else None
        return folder if folder and folder.is_dir() else None  # a backup may lack it

    def take(
        self,
        alerts: Iterable[FoundAlert],
        events: Iterable[tuple[str, str]],
        databases: Path,
        summary: dict[str, Any],
        kept_events: Mapping[str, int] | None = None,
        incidents: Iterable[FoundIncident] = (),
        ranks: Mapping[str, int] | None = None,
        queries: Mapping[str, str] | None = None,
    ) -> int:
        """Store the results of a replay, as a whole or not at all.

        Args:
            alerts: The alerts, new and known.
            events: Pairs of an alert's ID and the JSON of one of its events, in order.
            databases: The folder of the lake's databases, in the state folder.
            summary: Counts of the records that were read.
            kept_events: See `AlertStore.take`.
            incidents: The incidents that are new or have changed.
            ranks: The number of each incident of the replay, by ID.
            queries: The SQL of the saved queries that runbooks name, by name.

        Returns:
            The number of new alerts.

        Raises:
            OSError, ValueError, TypeError: The results cannot be stored; nothing has changed.
        """
        folder = self.library.folder
        numbers = [int(path.name.partition("-")[2]) for path in folder.glob("lake-*")]
        name = f"lake-{max(numbers, default=0) + 1}"
        databases.rename(folder / name)
        try:
            facts = {LAKE: name, SUMMARY: summary | {"taken": time.time()}}
            facts[QUERIES] = dict(queries or {})
            new = self.alerts.take(alerts, events, facts, kept_events, incidents, ranks)
        except BaseException:
            shutil.rmtree(folder / name, ignore_errors=True)
            raise
        self.lake.let_go()
        self._remove_old_lakes()
        return new

    def _remove_old_lakes(self) -> None:
        """Remove lakes that are not in use, of earlier replays or a killed one."""
        current = self.databases
        for path in self.library.folder.iterdir():
            if LAKE_NAME.fullmatch(path.name) and path != current and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
