"""Imports the Python bodies of content as an instance does: without the YAML files beside them."""

import importlib
import sys
from collections.abc import Callable, Mapping
from functools import partialmethod
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any

import panther_core.data_model
from panther_core.data_model import DataModel
from panther_core.detection import DetectionResult, RawStringImporter
from panther_core.rule import Rule

from local_panther.box.watch import content_in
from local_panther.containment import call
from local_panther.content.json_paths import use_one_grammar
from local_panther.errors import FieldError
from local_panther.processes import TemporaryFolder


class BodyRule(Rule):
    """A rule of panther_core with a folder of its own and a record of swallowed errors.

    panther_core writes all bodies to one fixed folder, where two runs at once would overwrite each
    other. And it swallows errors that functions other than rule() raise on a match, as an instance
    does.

    Attributes:
        swallowed: Errors swallowed in the latest run, by the name of the function.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.swallowed: dict[str, Exception] = {}
        self._again: Exception | None = None
        self._matched: bool | None = None  # result of rule() inside `denies`; None outside

    def run(self, *args: Any, **kwargs: Any) -> DetectionResult:
        """Run the rule on an event."""
        self.swallowed = {}
        return super().run(*args, **kwargs)

    def denies(self, event: Mapping[str, Any], passes: Callable[[], bool]) -> bool:
        """Return whether the filters or rule() return False; no other function is called.

        An error does not count as False.

        Args:
            event: The argument of rule().
            passes: Evaluates the filters, because panther_core would read the whole event for that.
        """
        if self._setup_exception:
            return False
        if self._filters_should_run() and not passes():
            return True
        self._matched = False
        try:
            result = super().run(event, {}, {}, batch_mode=True)
            return not (self._matched or result.detection_evaluation_failed)
        finally:
            self._matched = None

    def _filters_should_run(self) -> bool:
        return self._matched is None and bool(super()._filters_should_run())

    def matcher_function(self, event: Mapping[str, Any]) -> bool:
        """Call rule()."""
        matches = super().matcher_function(event)
        if self._matched is None:
            return matches
        self._matched = matches
        return False  # ends the run without a call of other functions

    def _run_command(self, function: Any, event: Mapping[str, Any], expected_type: Any) -> Any:
        if self._again:
            raise self._again
        return super()._run_command(function, event, expected_type)

    def _watched(self, name: str, *args: Any, use_default_on_exception: bool = True) -> Any:
        """Call a function through panther_core; if it raises, note that and return the default."""
        get = getattr(super(), f"_get_{name}")
        try:
            return get(*args, use_default_on_exception=False)
        except Exception as error:
            if not use_default_on_exception:
                raise
            self.swallowed[name] = self._again = error
            try:
                # _run_command raises self._again, so the function is not called a second time
                return get(*args, use_default_on_exception=True)
            finally:
                self._again = None

    _get_title = partialmethod(_watched, "title")
    _get_description = partialmethod(_watched, "description")
    _get_reference = partialmethod(_watched, "reference")
    _get_severity = partialmethod(_watched, "severity")
    _get_runbook = partialmethod(_watched, "runbook")
    _get_destinations = partialmethod(_watched, "destinations")
    _get_dedup = partialmethod(_watched, "dedup")
    _get_alert_context = partialmethod(_watched, "alert_context")
    _get_unique = partialmethod(_watched, "unique")

    @staticmethod
    def _load_detection(identifier: str, config: Mapping[str, Any]) -> ModuleType:
        return _BodyImporter(config["folder"]).get_module(identifier, config["body"])


class _BodyImporter(RawStringImporter):
    """An importer that does not write the compiled module, which no later run could use."""

    @staticmethod
    def from_file(identifier: str, path: str) -> ModuleType:
        """Import a file as a module."""
        loader = _Uncached(identifier, path)
        spec = spec_from_file_location(identifier, path, loader=loader)
        if spec is None:
            raise ImportError(f"{path} cannot be imported")
        module = module_from_spec(spec)
        loader.exec_module(module)
        return module


class _Uncached(SourceFileLoader):
    def set_data(self, path: str, data: Any, *, _mode: int = 0) -> None:
        """Write nothing."""


class Importer:
    """An importer of the bodies of one repository; a context manager that undoes the imports."""

    def __init__(self) -> None:
        self._folder = TemporaryFolder("local-panther-")
        self._root = self._folder.path
        self._helpers: list[str] = []
        self._replaced: dict[str, ModuleType] = {}
        self._watched = content_in(self._root)

    def __enter__(self) -> "Importer":
        (self._root / "helpers").mkdir()
        sys.path.insert(0, str(self._root / "helpers"))
        self._watched.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._watched.__exit__(None, None, None)
        sys.path.remove(str(self._root / "helpers"))
        for name in self._helpers:
            sys.modules.pop(name, None)
        sys.modules.update(self._replaced)
        self._folder.cleanup()

    def helpers(self) -> list[ModuleType]:
        """Return the global helpers that bodies have imported so far."""
        return [sys.modules[name] for name in self._helpers if name in sys.modules]

    def add_helper(self, name: str, body: str) -> None:
        """Make a global helper importable by its ID; rules and other helpers import it by name.

        Raises:
            SyntaxError: The body is not valid Python.
            FieldError: The name cannot be imported.
        """
        if not name.isidentifier():
            raise FieldError(f"GlobalID: {name} cannot be imported; use only letters, digits and _")
        compile(body, f"{name}.py", "exec")
        (self._root / "helpers" / f"{name}.py").write_text(body, encoding="utf-8")
        if name in sys.modules:
            self._replaced[name] = sys.modules.pop(name)
        self._helpers.append(name)
        importlib.invalidate_caches()

    def rule(self, spec: Mapping[str, Any], body: str, filters: dict[str, Any] | None) -> BodyRule:
        """Import a rule's body and attach its translated filters.

        Raises:
            Exception: Whatever the body raises when it is imported.
        """
        config = {
            "id": spec["RuleID"],
            "analysisType": spec["AnalysisType"].upper(),
            "versionId": "local",
            "body": body,
            "folder": str(self._root / "rules"),
            "filters": filters,
            "severity": spec["Severity"].upper(),
            "dedupPeriodMinutes": spec.get("DedupPeriodMinutes"),
            "suppressAlert": not spec.get("CreateAlert", True),
        }
        rule = call(BodyRule, config).unwrap()
        if rule.setup_exception:
            raise rule.setup_exception
        return rule

    def import_body(self, identifier: str, body: str) -> ModuleType:
        """Import a body only to check it, as that of a policy, which is not run here.

        Raises:
            Exception: Whatever the body raises when it is imported.
        """
        folder = str(self._root / "others")
        return call(RawStringImporter(folder).get_module, identifier, body).unwrap()

    def data_model(
        self, model_id: str, mappings: list[Mapping[str, Any]], body: str | None
    ) -> DataModel:
        """Import a data model.

        Raises:
            Exception: The body raises it when it is imported, or a mapping names a function that
                the body lacks.
        """
        lower = [{key.lower(): value for key, value in mapping.items()} for mapping in mappings]
        config: dict[str, Any] = {"id": model_id, "mappings": lower, "versionId": "local"}
        if body is not None:
            config["body"] = body
        # panther_core has one fixed folder, as for rules.
        panther_core.data_model._DATAMODEL_FOLDER = str(self._root / "data_models")
        use_one_grammar()
        return call(DataModel, config).unwrap()
