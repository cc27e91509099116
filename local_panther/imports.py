"""Leaves out what a command would import and not use.

Of a small replay's time, most is imports of libraries by libraries: panther_analysis_tool brings
what it talks to instances with (aiohttp, gql, requests), panther_detection_helpers what it reports
to Datadog with and boto3. Each is imported after all once something of it is used.
"""

import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


@contextmanager
def deferred(*names: str) -> Iterator[None]:
    """Let modules that are imported meanwhile have stand-ins for other modules.

    A function or class of a stand-in imports the real module when it is called, or when something
    of it is asked for. Outside the context the modules can be imported as usual.
    """
    stand_ins = {name: _StandIn(name) for name in names if name not in sys.modules}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


class LazyModule(ModuleType):
    """A module that is imported once something of it is asked for."""

    def __getattr__(self, attribute: str) -> Any:
        return getattr(_imported(self.__name__), attribute)


@contextmanager
def lazily(name: str, *functions: str) -> Iterator[None]:
    """Let whatever imports a module meanwhile get one that is imported once it is used.

    Args:
        name: Of the module.
        functions: Some of it that are used once they are called, as an annotation calls nothing.
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
    """Act on a module as soon as there is one: now, or when something imports it meanwhile.

    Args:
        name: Of the module, with its packages.
        act: Called with it once, before whoever imports it gets it.
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
    """A finder of modules that finds one module as usual, and acts on it once it is there."""

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
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Deferred(self.__name__, name)


class _Deferred:
    """Something of a module that is not imported yet."""

    def __init__(self, module: str, name: str) -> None:
        self._place = module, name

    def _real(self) -> Any:
        module, name = self._place
        return getattr(_imported(module), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # as `typing` asks for, of an annotation
            raise AttributeError(name)
        return getattr(self._real(), name)


def _imported(name: str) -> ModuleType:
    """Import a module, also while something else stands for it."""
    if isinstance(sys.modules.get(name), LazyModule | _StandIn):
        del sys.modules[name]
    return importlib.import_module(name)
