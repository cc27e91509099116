"""An instance: the content it stores, and what that content has found."""

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

LAKE, SUMMARY, QUERIES = "lake", "summary", "queries"  # facts beside the alerts


class Instance:
    """What a server serves.

    Attributes:
        library: The content.
        alerts: The alerts.
        lake: The data lake.
        benchmarks: Runs of a rule over the lake.
    """

    def __init__(self, state: Path, *, trust: bool = False) -> None:
        """Open a state folder, or make one.

        Args:
            state: The folder.
            trust: Run uploaded code without the box.

        Raises:
            ContentError: The folder is in use, is not ours, or holds an invalid index.
            OSError: It cannot be made or read.
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
        """Let go of the folder."""
        self.benchmarks.close()
        self._renderer.close()  # for which a query of the lake may wait
        self.lake.close()
        self.alerts.close()
        self.library.close()

    @property
    def databases(self) -> Path | None:
        """The folder of the lake's databases; None before the first replay."""
        name = self.alerts.fact(LAKE)
        folder = self.library.folder / name if name else None
        return folder if folder and folder.is_dir() else None  # a backup may come without it

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
        """Take over what a replay found, in one step.

        Args:
            alerts: The alerts.
            events: The ID of an alert and the JSON of an event of it, in order.
            databases: The folder of the lake's databases, in the state folder.
            summary: What was read.
            kept_events: See `AlertStore.take`.
            incidents: The incidents that are new or have changed.
            ranks: The number of each incident of the replay, by ID.
            queries: The SQL of the saved queries that runbooks name, by name.

        Returns:
            The number of alerts that are new.

        Raises:
            OSError, ValueError, TypeError: It cannot be taken; nothing has changed.
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
        """Remove lakes that are not in use: of earlier replays, or of one that was killed."""
        current = self.databases
        for path in self.library.folder.iterdir():
            if LAKE_NAME.fullmatch(path.name) and path != current and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
