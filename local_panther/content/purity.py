"""Which functions of content are pure: what they return depends on their arguments alone.

A replay may take over what a pure rule said of an event for the next one with the same values. Of a
rule that keeps something between calls, or asks the clock or the key-value store, it may not. A
function is pure here only if its code says so, and that of everything it calls: what is not listed
below is not pure. What a name stands for is looked up in the module as it was imported, so that a
stand-in, such as that of the clock, counts as what it is.

A container at the level of a module may be read if nothing can change it: every function of the
content that names it is pure too, and so is whatever that function calls.
"""

import ast
import builtins
import dis
import re
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any


def _words(*texts: str) -> frozenset[str]:
    return frozenset(word for text in texts for word in text.split())


PURE_BUILTINS = _words(
    "abs all any bool bytes chr dict divmod enumerate filter float format frozenset int isinstance"
    " issubclass iter len list map max min next ord range repr reversed round set sorted str sum"
    " tuple zip"
)
# Everything in these modules is pure; a class may be called, and is what an error is caught by. Not
# `operator`, which can change its arguments, nor the paths of `os`, which look at the disk.
PURE_MODULES = _words(
    "_functools _json base64 binascii collections collections.abc copy fnmatch html ipaddress"
    " itertools json json.decoder json.encoder math panther_core panther_core.enriched_event"
    " panther_core.immutable re string typing urllib.parse"
)
MUTATORS = _words(
    "add append appendleft clear difference_update discard extend extendleft insert"
    " intersection_update pop popitem popleft remove reverse setdefault sort"
    " symmetric_difference_update update"
)
# Methods, and properties, of whatever else a pure function can have in hand.
PURE_METHODS = _words(
    # events and mappings
    "get deep_get deep_walk udm udm_path lookup event_time_epoch items keys values to_dict copy",
    # text and bytes
    "capitalize casefold count decode encode endswith find format index isalnum isalpha isdecimal",
    "isdigit islower isnumeric isspace isupper join lower lstrip partition removeprefix",
    "removesuffix replace rfind rindex rpartition rsplit rstrip split splitlines startswith strip",
    "swapcase title upper zfill",
    # patterns and their matches
    "end findall finditer fullmatch group groupdict groups match search span start sub subn",
    # sets
    "difference intersection isdisjoint issubset issuperset symmetric_difference union",
    # addresses and networks
    "is_global is_link_local is_loopback is_multicast is_private is_reserved is_unspecified",
    "overlaps subnet_of supernet_of version",
)
FRESH_METHODS = _words("copy rsplit split splitlines to_dict")
# Code that can change anything by its name: with one of these in the content, nothing is pure.
REACHING = _words(
    "__builtins__ __dict__ __globals__ __import__ delattr eval exec globals locals setattr vars"
)
SCALARS = (str, bytes, bool, int, float, complex, type(None), re.Pattern)
# What their calls return shares no more than its entries with the arguments, unlike a ChainMap.
NEW_TYPES = (list, dict, set, str, int, float, Counter, OrderedDict, defaultdict, deque)
NEW_VALUES = (
    *(ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp),
    *(ast.Constant, ast.JoinedStr, ast.Compare),
)
HARMLESS = (
    *NEW_VALUES,
    *(ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.IfExp, ast.NamedExpr, ast.Lambda, ast.Tuple),
    *(ast.FormattedValue, ast.Starred, ast.Slice, ast.Subscript, ast.comprehension, ast.keyword),
    *(ast.operator, ast.boolop, ast.unaryop, ast.cmpop, ast.expr_context),
    *(ast.arguments, ast.arg, ast.FunctionDef, ast.Return, ast.Assign, ast.AnnAssign),
    *(ast.For, ast.While, ast.If, ast.Break, ast.Continue, ast.Pass, ast.Expr),
    ast.Global,  # which makes no line: what is done by the names counts
    *(ast.Raise, ast.Try, ast.ExceptHandler, ast.Assert),
)

DATA_MODEL = frozenset(("udm", "udm_path"))  # methods of an event that call the data model's own

Line = tuple[str, int]  # a file and the number of a line in it
Node = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class _Impure:
    """Stands for what a function does that is not pure."""


IMPURE = _Impure()


class Purity:
    """Tells what is not pure in the functions of some imported modules."""

    def __init__(self, modules: Iterable[ModuleType], model_methods: Iterable[object] = ()) -> None:
        """Take the modules; their code is read when it is first asked for.

        Args:
            modules: All modules of the content: helpers, rules and data models.
            model_methods: The functions of the data model, which `event.udm` calls.
        """
        self._modules = list(modules)
        # A helper can have the name of one of them, and take its place.
        self._pure_modules = PURE_MODULES - {module.__name__ for module in self._modules}
        self._model_methods = tuple(model_methods)
        self._uses: dict[FunctionType, _Uses | None] = {}

    def impure_lines(self, function: object) -> frozenset[Line] | None:
        """Return the lines of a function, and of all it may call, that are not pure.

        A call that comes by none of them is pure.

        Returns:
            The lines; None if nothing is known of the function.
        """
        return self._impure_lines(function, is_model_pure=self._is_model_pure)

    def _impure_lines(self, function: object, *, is_model_pure: bool) -> frozenset[Line] | None:
        uses = self._uses_of_function(function)
        if uses is None or self._reaches_everything:
            return None
        return frozenset(
            line
            for reached in self._reached_from(uses)
            for line, value in reached.values
            if not self._is_harmless(value)
            or id(value) in self._changeable
            or (value is DATA_MODEL and not is_model_pure)
        )

    @cached_property
    def _is_model_pure(self) -> bool:
        lines = (self._impure_lines(m, is_model_pure=False) for m in self._model_methods)
        return all(found == frozenset() for found in lines)

    @cached_property
    def _sources(self) -> dict[str, "_Source"]:
        modules = {str(module.__file__): module for module in self._modules}
        return {file: _Source.of(file, module) for file, module in modules.items()}

    @cached_property
    def _reaches_everything(self) -> bool:
        return any(source.reaches_everything for source in self._sources.values())

    @cached_property
    def _stored_attributes(self) -> frozenset[str]:
        """The names of attributes that functions set, be it on a module."""
        return frozenset().union(*(s.stored_attributes for s in self._sources.values()))

    @cached_property
    def _rebound(self) -> frozenset[str]:
        """The global names of any module that its functions set."""
        return frozenset().union(*(s.rebound for s in self._sources.values()))

    @cached_property
    def _changeable(self) -> frozenset[int]:
        """The identities of what functions that are not pure may have in hand."""
        changeable: set[int] = set()
        for source in self._sources.values():
            for node in source.nodes:
                reached = self._reached_from(self._uses_of(node, source, None))
                values = [value for uses in reached for _, value in uses.values]
                if not all(map(self._is_harmless, values)):
                    changeable.update(identity for v in values for identity in _containers(v))
        return frozenset(changeable)

    def _reached_from(self, first: "_Uses") -> "list[_Uses]":
        """Return what a function uses, and every function of the content that it may call."""
        reached, waiting = [first], [first]
        seen: set[FunctionType] = set()
        for uses in waiting:
            for function in uses.functions - seen:
                seen.add(function)
                found = self._uses_of_function(function)
                if found:
                    reached.append(found)
                    waiting.append(found)
        return reached

    def _uses_of_function(self, function: object) -> "_Uses | None":
        """Return what a function uses; None for one whose code is not at hand."""
        if not isinstance(function, FunctionType):
            return None
        if function not in self._uses:
            source = self._sources.get(function.__code__.co_filename)
            node = source.definition(function) if source else None
            found = self._uses_of(node, source, function.__code__) if source and node else None
            self._uses[function] = found
        return self._uses[function]

    def _uses_of(self, node: Node, source: "_Source", code: CodeType | None) -> "_Uses":
        found = _Uses()
        for number, value in _Body(
            node, source, self._stored_attributes, self._rebound, code
        ).used():
            line = source.file, number
            if isinstance(value, FunctionType) and self._is_readable(value):
                found.functions.add(value)
            else:
                found.values.append((line, value))
        return found

    def _is_readable(self, function: FunctionType) -> bool:
        source = self._sources.get(function.__code__.co_filename)
        return bool(source and source.definition(function))

    def _is_harmless(self, value: Any) -> bool:
        """Return whether a pure function may use a value that it names."""
        if isinstance(value, BuiltinFunctionType) and value.__module__ == "builtins":
            return value.__name__ in PURE_BUILTINS
        if value is DATA_MODEL:
            return True
        if isinstance(value, FunctionType | BuiltinFunctionType):
            return value.__module__ in self._pure_modules
        if isinstance(value, type):
            is_builtin = value.__module__ == "builtins" and value.__name__ in PURE_BUILTINS
            return is_builtin or value.__module__ in self._pure_modules or _is_plain_error(value)
        if type(value) in (list, tuple, set, frozenset):
            return all(map(self._is_harmless, value))
        if type(value) is dict:
            return all(map(self._is_harmless, (*value, *value.values())))
        return type(value) in SCALARS or type(value).__module__ == "ipaddress"


@dataclass
class _Uses:
    """What a function uses, each with its line, and the functions of the content among it."""

    values: list[tuple[Line, Any]] = field(default_factory=list)
    functions: set[FunctionType] = field(default_factory=set)


@dataclass
class _Source:
    """The code of a module.

    Attributes:
        file: Its file.
        names: What its names stand for.
        nodes: Every function in it, also those within classes, and lambdas.
        rebound: The names that its functions bind anew by `global`.
        stored_attributes: The attributes that its functions set.
        reaches_everything: True if it has a name of REACHING, or cannot be read.
    """

    file: str
    names: Mapping[str, Any]
    nodes: list[Node]
    rebound: frozenset[str]
    stored_attributes: frozenset[str]
    reaches_everything: bool

    @classmethod
    def of(cls, file: str, module: ModuleType) -> "_Source":
        """Read the code of a module from its file."""
        nodes: list[ast.AST] = []
        with suppress(OSError, SyntaxError, ValueError):
            nodes = list(ast.walk(ast.parse(Path(file).read_bytes())))
        mentioned = {node.id for node in nodes if isinstance(node, ast.Name)} | {
            node.attr for node in nodes if isinstance(node, ast.Attribute)
        }
        return cls(
            file=file,
            names=vars(module),
            nodes=[node for node in nodes if isinstance(node, Node)],
            rebound=frozenset(
                name for node in nodes if isinstance(node, ast.Global) for name in node.names
            ),
            stored_attributes=frozenset(
                node.attr
                for node in nodes
                if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
            ),
            reaches_everything=not nodes or bool(mentioned & REACHING),
        )

    def definition(self, function: FunctionType) -> ast.FunctionDef | None:
        """Return the code of a function that was defined at the level of the module."""
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef) and node.name == function.__qualname__:
                is_it = node.lineno == function.__code__.co_firstlineno
                return node if is_it and not node.decorator_list else None
        return None


class _Body:
    """One function: finds what its code uses, and whether it does what is not pure."""

    def __init__(
        self,
        node: Node,
        source: _Source,
        stored_attributes: frozenset[str],
        rebound: frozenset[str],
        code: CodeType | None,
    ) -> None:
        self._node = node
        self._source = source
        self._changed_names = source.rebound | stored_attributes
        self._changed_attributes = rebound | stored_attributes
        # Without its code, every name that the module has counts as the module's.
        names = _global_names(code) if code else frozenset(source.names)
        self._global = names - _reset_names(node)

    def used(self) -> Iterator[tuple[int, Any]]:
        """Yield what the names stand for that are not the function's own, each with its line.

        Modules are not among it, but what is taken from them. DATA_MODEL stands for a call of the
        data model, IMPURE for anything that a pure function does not do.
        """
        if getattr(self._node, "decorator_list", None):
            yield self._node.lineno, IMPURE
        for child in ast.iter_child_nodes(self._node):
            yield from self._used_by(child, self._node.lineno)

    def _used_by(self, node: ast.AST, line: int) -> Iterator[tuple[int, Any]]:
        line = getattr(node, "lineno", line)
        if isinstance(node, ast.Name):
            yield from ((line, value) for value in self._used_by_name(node))
        elif isinstance(node, ast.Attribute):
            yield from self._used_by_attribute(node)
        else:
            if not self._is_harmless(node):
                yield line, IMPURE
            for name, value in ast.iter_fields(node):
                if name not in ("annotation", "returns"):  # not evaluated again by a call
                    for child in value if isinstance(value, list) else (value,):
                        if isinstance(child, ast.AST):
                            yield from self._used_by(child, line)

    def _is_harmless(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            return self._is_fresh(node.value)
        if isinstance(node, ast.AugAssign):
            return isinstance(node.target, ast.Subscript) or self._is_fresh(node.target)
        if isinstance(node, ast.Compare):
            sides = zip((node.left, *node.comparators), node.comparators, strict=False)
            return all(
                not isinstance(operator, ast.Is | ast.IsNot) or _names_singleton(*pair)
                for operator, pair in zip(node.ops, sides, strict=True)
            )
        if isinstance(node, ast.Try):
            # What would go on after the _Stop of detection.decisions
            return not node.finalbody and all(map(_catches_errors, node.handlers))
        if isinstance(node, ast.Delete):
            return all(isinstance(target, ast.Subscript) for target in node.targets)
        return isinstance(node, (*HARMLESS, ast.Call))

    def _used_by_name(self, node: ast.Name) -> Iterator[Any]:
        if node.id not in self._global:
            return
        value = self._named(node.id)
        is_module = isinstance(value, ModuleType)
        yield IMPURE if is_module or not isinstance(node.ctx, ast.Load) else value

    def _used_by_attribute(self, node: ast.Attribute) -> Iterator[tuple[int, Any]]:
        # The line of an attribute is that of its name, which can be below its object's.
        line = node.end_lineno or node.lineno
        found = self._static(node)
        if found is not None:
            yield line, IMPURE if isinstance(found[0], ModuleType) else found[0]
            return
        yield from self._used_by(node.value, node.lineno)
        if node.attr in DATA_MODEL:
            yield line, DATA_MODEL
        if node.attr in MUTATORS:
            if not self._is_fresh(node.value):
                yield line, IMPURE
        elif node.attr not in PURE_METHODS or not isinstance(node.ctx, ast.Load):
            yield line, IMPURE

    def _static(self, node: ast.expr) -> tuple[Any] | None:
        """Return what a name or dotted name of a module stands for; None for anything else."""
        if isinstance(node, ast.Name) and node.id in self._global:
            return (self._named(node.id),)
        if isinstance(node, ast.Attribute):
            owner = self._static(node.value)
            if owner and isinstance(owner[0], ModuleType) and isinstance(node.ctx, ast.Load):
                is_changed = node.attr in self._changed_attributes
                return (IMPURE if is_changed else vars(owner[0]).get(node.attr, IMPURE),)
        return None

    def _named(self, name: str) -> Any:
        if name in self._changed_names:
            return IMPURE
        return self._source.names.get(name, vars(builtins).get(name, IMPURE))

    def _is_fresh(self, node: ast.expr) -> bool:
        """Return whether a name stands for an object that this call has made."""
        return isinstance(node, ast.Name) and node.id in self._fresh

    @cached_property  # which few functions need
    def _fresh(self) -> set[str]:
        """The names that never stand for anything but what this call has made."""
        new: set[str] = set()
        others: set[str] = set()
        to_new: set[ast.AST] = set()
        nodes = list(ast.walk(self._node))
        for node in nodes:
            if isinstance(node, ast.AugAssign):  # of a new object, or else `_is_harmless` minds
                to_new.add(node.target)
            elif isinstance(node, ast.Assign | ast.AnnAssign) and self._makes_new(node.value):
                to_new.update(node.targets if isinstance(node, ast.Assign) else [node.target])
        for node in nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                (new if node in to_new else others).add(node.id)
            elif isinstance(node, ast.arg):
                others.add(node.arg)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                others.add(node.name)
        return new - others - self._global

    def _makes_new(self, value: ast.expr | None) -> bool:
        if not isinstance(value, ast.Call):
            return isinstance(value, (*NEW_VALUES, ast.BinOp))
        if isinstance(value.func, ast.Attribute) and value.func.attr in FRESH_METHODS:
            return True
        found = self._static(value.func)
        kind = found[0] if found else None
        return isinstance(kind, type) and kind in NEW_TYPES


def _global_names(code: CodeType) -> frozenset[str]:
    """Return the names that a function, or one within it, takes from its module."""
    kinds = ("_GLOBAL", "_NAME")
    names = {i.argval for i in dis.get_instructions(code) if i.opname.endswith(kinds)}
    inner = [_global_names(const) for const in code.co_consts if isinstance(const, CodeType)]
    return frozenset(names).union(*inner)


def _reset_names(node: Node) -> frozenset[str]:
    """Return the global names that rule() sets to a new value before it does anything else.

    Rules hand what they found to their title() by such names. As title() is called after a match
    only, which sets them anew, what an evaluation leaves in them makes no difference.
    """
    if not isinstance(node, ast.FunctionDef) or node.name != "rule":
        return frozenset()
    found: set[str] = set()
    declared = {n for inner in ast.walk(node) if isinstance(inner, ast.Global) for n in inner.names}
    for statement in node.body:
        if isinstance(statement, ast.Assign) and _is_literal(statement.value):
            names = {t.id for t in statement.targets if isinstance(t, ast.Name)}
            if len(names) < len(statement.targets) or not names <= declared:
                break
            found |= names
        elif not isinstance(statement, ast.Global) and not _is_docstring(statement):
            break
    return frozenset(found)


def _is_literal(node: ast.expr) -> bool:
    kinds = (ast.List, ast.Dict, ast.Set, ast.Constant, ast.Load)
    return all(isinstance(inner, kinds) for inner in ast.walk(node))


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _names_singleton(*sides: ast.expr) -> bool:
    return any(
        isinstance(side, ast.Constant) and side.value in (None, True, False) for side in sides
    )


def _catches_errors(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler catches by name, and not BaseException."""
    return handler.type is not None and "BaseException" not in ast.dump(handler.type)


def _is_plain_error(value: type) -> bool:
    """Return whether a class is an exception that makes nothing of its arguments."""
    is_own = value.__module__ != "builtins" and "__init__" in vars(value)
    return issubclass(value, Exception) and not is_own


def _containers(value: Any) -> Iterator[int]:
    """Yield the identities of a container that can be changed, and of those in it."""
    if type(value) in (list, set, dict):
        yield id(value)
    if type(value) in (list, tuple, dict):
        for inner in value.values() if type(value) is dict else value:
            yield from _containers(inner)
