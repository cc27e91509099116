"""Delays imports of libraries until they are used.

A small replay spends most of its time on imports by libraries: panther_analysis_tool imports its
clients of an instance (aiohttp, gql, requests), panther_detection_helpers imports boto3 and
Datadog's client. Deferring these cuts the processor time to import both from 0.6 s to 0.15 s. The
conditions of DynamoDB are boto3's, but without its session they take 2 ms instead of 90.
"""

import importlib
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any


@contextmanager
def deferred(*names: str) -> Iterator[None]:
    """Give modules that are imported inside the context stand-ins for the named modules.

    A function or class of a stand-in imports the real module when it is called, or when one of its
    attributes is read. If the package of that module is named too, its own code is not run: it runs
    when something of the package itself is used. Outside the context, the named modules can be
    imported as usual.
    """
    stand_ins = {name: _StandIn(name, names) for name in names if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


class LazyModule(ModuleType):
    """A module that is imported when one of its attributes is first read."""

    def __getattr__(self, attribute: str) -> Any:
        return getattr(_imported(self.__name__), attribute)


@contextmanager
def lazily(name: str, *functions: str) -> Iterator[None]:
    """Make imports of a module inside the context lazy: it is imported when it is first used.

    Args:
        name: The name of the module.
        functions: Functions that count as used only when they are called, so that naming them in
            an annotation does not import the module.
    """
    module = LazyModule(name)
    vars(module).update({each: _Deferred(name, each) for each in functions})
    is_new = sys.modules.setdefault(name, module) is module
    try:
        yield
    finally:
        if is_new and sys.modules.get(name) is module:
            del sys.modules[name]


@contextmanager
def once_imported(name: str, act: Callable[[ModuleType], Any]) -> Iterator[None]:
    """Act on a module now if it is imported, or else as soon as it is, inside the context.

    Args:
        name: The full name of the module.
        act: Called with the module once, before the importing code gets it.
    """
    if name in sys.modules:
        act(sys.modules[name])
        yield
        return
    finder = _Watch(name, act)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Watch:
    """A finder that finds one module as usual, and acts on it once it has been executed."""

    def __init__(self, name: str, act: Callable[[ModuleType], Any]) -> None:
        self._name = name
        self._act = act

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == self._name else None
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_act(module: ModuleType) -> None:
            run(module)
            self._act(module)

        vars(spec.loader)["exec_module"] = run_and_act
        return spec


class _StandIn(ModuleType):
    """A module whose attributes are all deferred."""

    def __init__(self, name: str, deferred: Collection[str]) -> None:
        super().__init__(name)
        package = name.partition(".")[0]
        self._package = package if package in deferred and package != name else ""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Deferred(self.__name__, name, self._package)


class _Deferred:
    """A function or class of a module that is not imported yet."""

    def __init__(self, module: str, name: str, package: str = "") -> None:
        self._place = module, name
        self._package = package

    def _real(self) -> Any:
        module, name = self._place
        if self._package and self._package not in sys.modules:
            sys.modules[self._package] = _package(self._package)
        return getattr(_imported(module), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # `typing` reads such attributes of an annotation
            raise AttributeError(name)
        return getattr(self._real(), name)


class _Package(ModuleType):
    """A package whose modules can be imported, and whose own code has not run yet."""

    def __getattr__(self, name: str) -> Any:
        self.__class__ = ModuleType  # type: ignore[assignment]
        spec = self.__spec__
        if spec and spec.loader:
            spec.loader.exec_module(self)
        return getattr(self, name)


def _package(name: str) -> ModuleType:
    spec = find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    package = module_from_spec(spec)
    package.__class__ = _Package
    return package


def _imported(name: str) -> ModuleType:
    """Import the real module, even if a stand-in is in its place."""
    if isinstance(sys.modules.get(name), LazyModule | _StandIn):
        del sys.modules[name]
    return importlib.import_module(name)
