"""Decides which functions of content are pure: their results depend on their arguments alone.

A replay may reuse the result of a pure rule for the next event with the same values. It may not do
so for a rule that keeps state between calls, reads the clock or uses the key-value store. A
function counts as pure only if all of its code, and of everything it calls, is known to be pure:
anything not listed below is not. Names are looked up in the imported module, so that a replacement,
such as that of the clock, is judged by what it really is.

A container at module level may be read if nothing can change it: every function of the content that
names it is pure, and calls only pure ones, or only reads entries of it.
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
from typing import Any, NamedTuple, TypeGuard


def _words(*texts: str) -> frozenset[str]:
    return frozenset(word for text in texts for word in text.split())


PURE_BUILTINS = _words(
    "abs all any bool bytes chr dict divmod enumerate filter float format frozenset int isinstance"
    " issubclass iter len list map max min next ord range repr reversed round set sorted str sum"
    " tuple zip"
)
# Everything in these modules is pure; their classes may be called or caught as errors. `operator`
# is not among them, as it can change its arguments, nor is `os.path`, which reads the disk.
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
# Methods and properties that are pure on any object that a pure function can hold
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
# Names that give code access to everything: if the content has one of them, nothing is pure.
REACHING = _words(
    "__builtins__ __dict__ __globals__ __import__ delattr eval exec globals locals setattr vars"
)
SCALARS = (str, bytes, bool, int, float, complex, type(None), re.Pattern)
# Calls of these return a new object that shares at most its entries with the arguments, unlike a
# ChainMap.
NEW_TYPES = (list, dict, set, str, int, float, Counter, OrderedDict, defaultdict, deque)
NEW_VALUES = (
    *(ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp),
    *(ast.Constant, ast.JoinedStr, ast.Compare),
)
# Nodes with no effect of their own beyond that of their parts. `_Body._is_harmless` judges others.
HARMLESS = frozenset(
    (
        *(kind for kind in NEW_VALUES if kind is not ast.Compare),
        *(ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.IfExp, ast.NamedExpr, ast.Lambda, ast.Tuple),
        *(ast.FormattedValue, ast.Starred, ast.Slice, ast.comprehension, ast.keyword, ast.Call),
        *(ast.arguments, ast.arg, ast.FunctionDef, ast.Return, ast.Assign, ast.AnnAssign),
        *(ast.For, ast.While, ast.If, ast.Break, ast.Continue, ast.Pass, ast.Expr),
        ast.Global,  # the declaration itself does nothing; uses of its names are judged
        *(ast.Raise, ast.ExceptHandler, ast.Assert),
    )
)
# Parts of an expression that are not evaluated
MARKS = (ast.Constant, ast.expr_context, ast.operator, ast.boolop, ast.unaryop, ast.cmpop)

DATA_MODEL = frozenset(
    ("udm", "udm_path")
)  # methods of an event that call functions of a data model

Node = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class _Impure:
    """A marker for anything a function does that is not pure."""


IMPURE = _Impure()


class Spot(NamedTuple):
    """A place of code that is not pure: an expression, or the first line of a statement.

    Attributes:
        file: The file.
        start: Line and column of the beginning.
        end: Line and column of the end of an expression; None for a statement.
    """

    file: str
    start: tuple[int, int]
    end: tuple[int, int] | None

    @classmethod
    def of(cls, file: str, node: Any) -> "Spot":
        """Return the spot of a syntax node of a file."""
        is_expression = isinstance(node, ast.expr)
        end = (node.end_lineno, node.end_col_offset) if is_expression else None
        return cls(file, (node.lineno, node.col_offset), end)


class _Used(NamedTuple):
    """A use of a value, or an action, in the code of a function.

    Attributes:
        node: The syntax node.
        value: The value that the name refers to; DATA_MODEL for a call of the data model, IMPURE
            for anything that a pure function does not do.
        is_held: False for a container of which only entries are read, which cannot change it.
    """

    node: ast.AST
    value: Any
    is_held: bool = True


class Purity:
    """An analysis of the functions of imported modules that finds code that is not pure."""

    def __init__(self, modules: Iterable[ModuleType], model_methods: Iterable[object] = ()) -> None:
        """Keep the modules; their code is read when it is first needed.

        Args:
            modules: All modules of the content: helpers, rules and data models.
            model_methods: The functions of the data model, which `event.udm` calls.
        """
        self._modules = list(modules)
        # A helper with the name of a pure module replaces it.
        self._pure_modules = PURE_MODULES - {module.__name__ for module in self._modules}
        self._model_methods = tuple(model_methods)
        self._uses: dict[FunctionType, _Uses | None] = {}

    def impure_spots(self, function: object) -> frozenset[Spot] | None:
        """Return the spots that are not pure in a function and in everything that it may call.

        A call that executes none of them is pure.

        Returns:
            The spots; None if nothing is known about the function.
        """
        return self._impure_spots(function, is_model_pure=self._is_model_pure)

    def _impure_spots(self, function: object, *, is_model_pure: bool) -> frozenset[Spot] | None:
        uses = self._uses_of_function(function)
        if uses is None or self._reaches_everything:
            return None
        return frozenset(
            Spot.of(reached.file, used.node)
            for reached in self._reached_from(uses)
            for used in reached.values
            if not self._is_harmless(used.value)
            or id(used.value) in self._changeable
            or (used.value is DATA_MODEL and not is_model_pure)
        )

    @cached_property
    def _is_model_pure(self) -> bool:
        spots = (self._impure_spots(m, is_model_pure=False) for m in self._model_methods)
        return all(found == frozenset() for found in spots)

    @cached_property
    def _sources(self) -> dict[str, "_Source"]:
        modules = {str(module.__file__): module for module in self._modules}
        return {file: _Source.of(file, module) for file, module in modules.items()}

    @cached_property
    def _reaches_everything(self) -> bool:
        return any(source.reaches_everything for source in self._sources.values())

    @cached_property
    def _stored_attributes(self) -> frozenset[str]:
        """The names of all attributes that functions set, on modules or other objects."""
        return frozenset().union(*(s.stored_attributes for s in self._sources.values()))

    @cached_property
    def _rebound(self) -> frozenset[str]:
        """The global names, of all modules, that functions set."""
        return frozenset().union(*(s.rebound for s in self._sources.values()))

    @cached_property
    def _changeable(self) -> frozenset[int]:
        """The identities of containers that functions which are not pure may hold."""
        changeable: set[int] = set()
        for source in self._sources.values():
            for node in source.nodes:
                reached = self._reached_from(self._uses_of(node, source, None))
                values = [used for uses in reached for used in uses.values]
                if not all(self._is_harmless(used.value) for used in values):
                    held = (used.value for used in values if used.is_held)
                    changeable.update(identity for v in held for identity in _containers(v))
        return frozenset(changeable)

    def _reached_from(self, first: "_Uses") -> "list[_Uses]":
        """Return the uses of a function, and those of every function of the content it may call."""
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
        """Return the uses of a function; None if its source is not available."""
        if not isinstance(function, FunctionType):
            return None
        if function not in self._uses:
            source = self._sources.get(function.__code__.co_filename)
            node = source.definition(function) if source else None
            found = self._uses_of(node, source, function.__code__) if source and node else None
            self._uses[function] = found
        return self._uses[function]

    def _uses_of(self, node: Node, source: "_Source", code: CodeType | None) -> "_Uses":
        found = _Uses(source.file)
        for used in _Body(node, source, self._stored_attributes, self._rebound, code).used():
            if isinstance(used.value, FunctionType) and self._is_readable(used.value):
                found.functions.add(used.value)
            else:
                found.values.append(used)
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
    """The values that a function uses, and the functions of the content among them."""

    file: str
    values: list[_Used] = field(default_factory=list)
    functions: set[FunctionType] = field(default_factory=set)


@dataclass
class _Source:
    """The source of a module.

    Attributes:
        file: Its file.
        names: The values of its global names.
        nodes: The nodes of all functions, including methods and lambdas.
        functions: The first function of each name.
        rebound: Global names that its functions rebind, except where only tests cause it.
        stored_attributes: Names of the attributes that its functions set.
        reaches_everything: True if it contains a name of REACHING, or cannot be read.
    """

    file: str
    names: Mapping[str, Any]
    nodes: list[Node]
    functions: dict[str, ast.FunctionDef]
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
            functions={n.name: n for n in reversed(nodes) if isinstance(n, ast.FunctionDef)},
            rebound=frozenset(_rebound(nodes, vars(module))),
            stored_attributes=frozenset(
                node.attr
                for node in nodes
                if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
            ),
            reaches_everything=not nodes or bool(mentioned & REACHING),
        )

    def definition(self, function: FunctionType) -> ast.FunctionDef | None:
        """Return the node of a function defined at module level; None for any other."""
        node = self.functions.get(function.__qualname__)
        is_it = node and node.lineno == function.__code__.co_firstlineno
        return node if node and is_it and not node.decorator_list else None


class _Body:
    """The body of a function, in which uses of values and impure actions are found."""

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
        # Without a code object, every name that the module has counts as global.
        names = _global_names(code) if code else frozenset(source.names)
        self._global = names - _reset_names(node)

    def used(self) -> Iterator[_Used]:
        """Yield the uses of global names, and actions that are not pure.

        For a module, the uses are those of its attributes.
        """
        if getattr(self._node, "decorator_list", None):
            yield _Used(self._node, IMPURE)
        for child in ast.iter_child_nodes(self._node):
            yield from self._used_by(child, self._node)

    def _used_by(self, node: ast.AST, around: ast.AST) -> Iterator[_Used]:
        place = node if hasattr(node, "lineno") else around
        if isinstance(node, ast.Name):
            yield from self._used_by_name(node)
        elif isinstance(node, ast.Attribute):
            yield from self._used_by_attribute(node)
        elif self._is_for_tests(node):
            for statement in node.orelse:
                yield from self._used_by(statement, place)
        else:
            if not self._is_harmless(node):
                yield _Used(place, IMPURE)
            looked_into = _looked_into(node)
            for child in _evaluated_in(node):
                found = self._used_by(child, place)
                is_looked = child in looked_into and self._stands_for_something(child)
                yield from map(_looked, found) if is_looked else found

    def _stands_for_something(self, node: ast.AST) -> bool:
        """Return whether an expression is just a global name, or a dotted name of a module."""
        return isinstance(node, ast.expr) and self._static(node) is not None

    def _is_for_tests(self, node: ast.AST) -> TypeGuard[ast.If]:
        """Return whether a statement has an effect only if a test replaced a name by a mock."""
        if not isinstance(node, ast.If):
            return False
        name = _stood_in(node, self._source.names)
        return name in self._global and name not in self._changed_names

    def _is_harmless(self, node: ast.AST) -> bool:
        if type(node) in HARMLESS:
            return True
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
            # `finally` would continue after the _Stop of detection.decisions.
            return not node.finalbody and all(map(_catches_errors, node.handlers))
        if isinstance(node, ast.Delete):
            return all(isinstance(target, ast.Subscript) for target in node.targets)
        return isinstance(node, ast.Subscript)

    def _used_by_name(self, node: ast.Name) -> Iterator[_Used]:
        if node.id not in self._global:
            return
        value = self._named(node.id)
        is_module = isinstance(value, ModuleType)
        yield _Used(node, IMPURE if is_module or not isinstance(node.ctx, ast.Load) else value)

    def _used_by_attribute(self, node: ast.Attribute) -> Iterator[_Used]:
        found = self._static(node)
        if found is not None:
            yield _Used(node, IMPURE if isinstance(found[0], ModuleType) else found[0])
            return
        yield from self._used_by(node.value, node)
        if node.attr in DATA_MODEL:
            yield _Used(node, DATA_MODEL)
        if node.attr in MUTATORS:
            if not self._is_fresh(node.value):
                yield _Used(node, IMPURE)
        elif node.attr not in PURE_METHODS or not isinstance(node.ctx, ast.Load):
            yield _Used(node, IMPURE)

    def _static(self, node: ast.expr) -> tuple[Any] | None:
        """Return the value of a global or dotted name, in a tuple; None for anything else."""
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
        """Return whether an expression is a name that only ever refers to new objects."""
        return isinstance(node, ast.Name) and node.id in self._fresh

    @cached_property  # few functions need it
    def _fresh(self) -> set[str]:
        """The local names that only ever refer to objects created by the same call."""
        new: set[str] = set()
        others: set[str] = set()
        to_new: set[ast.AST] = set()
        nodes = list(ast.walk(self._node))
        for node in nodes:
            if isinstance(node, ast.AugAssign):  # on anything but a new object, it is not harmless
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


def _evaluated_in(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a node that are evaluated with it; annotations are not."""
    for name in node._fields:
        value = getattr(node, name, None)
        if name in ("annotation", "returns") or value is None:
            continue
        for child in value if type(value) is list else (value,):
            if isinstance(child, ast.AST) and not isinstance(child, MARKS):
                yield child


def _looked_into(node: ast.AST) -> list[ast.AST]:
    """Return the children of which a node only reads entries: by `in`, a subscript or a loop."""
    if isinstance(node, ast.Compare):
        pairs = zip(node.ops, node.comparators, strict=True)
        return [side for operator, side in pairs if isinstance(operator, ast.In | ast.NotIn)]
    if isinstance(node, ast.For | ast.comprehension):
        return [node.iter]
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return [node.value]
    return []


def _looked(used: _Used) -> _Used:
    """Return a use that only reads entries of a container; a nested one still counts as held."""
    value = used.value
    parts = (*value, *value.values()) if type(value) is dict else value
    is_flat = type(value) in (list, set, dict) and all(type(part) in SCALARS for part in parts)
    return used._replace(is_held=not is_flat)


def _stood_in(node: ast.AST, names: Mapping[str, Any]) -> str | None:
    """Return the NAME of a node `if isinstance(NAME, MagicMock):`, unless it is a mock now.

    panther_analysis_tool replaces what a test mocks by a MagicMock, and some rules of Panther then
    use its return value in place of a constant.
    """
    match node:
        case ast.If(
            test=ast.Call(
                func=ast.Name("isinstance"), args=[ast.Name(name), ast.Name(kind)], keywords=[]
            )
        ) if name in names and "isinstance" not in names:
            known = names.get(kind)
            if isinstance(known, type) and known.__module__ == "unittest.mock":
                return name if not issubclass(type(names[name]), known) else None
    return None


def _rebound(nodes: Iterable[ast.AST], names: Mapping[str, Any]) -> set[str]:
    """Return the global names that functions rebind, except where only tests cause it."""
    nodes = list(nodes)
    if not any(isinstance(node, ast.Global) for node in nodes):
        return set()
    by_tests = {id(target) for node in nodes for target in _stand_in_targets(node, names)}
    rebound: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = list(ast.walk(node))
            declared = {n for each in inner if isinstance(each, ast.Global) for n in each.names}
            bound = {name for each in inner if id(each) not in by_tests for name in _bound(each)}
            rebound |= declared & bound
    return rebound


def _stand_in_targets(node: ast.AST, names: Mapping[str, Any]) -> Iterator[ast.Name]:
    """Yield the targets in `if isinstance(NAME, MagicMock):` that assign NAME."""
    name = _stood_in(node, names)
    for statement in node.body if name and isinstance(node, ast.If) else ():
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name) and target.id == name:
                    yield target


def _bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node binds, or may bind."""
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id
    elif isinstance(node, ast.alias):
        yield node.asname or node.name.partition(".")[0]
    elif not isinstance(node, ast.Constant | ast.Attribute):
        yield from (value for _, value in ast.iter_fields(node) if type(value) is str)


def _global_names(code: CodeType) -> frozenset[str]:
    """Return the global names that a function, or one inside it, uses."""
    kinds = ("_GLOBAL", "_NAME")
    codes = list(_codes_in(code))
    names = {name for each in codes for name in each.co_names}  # includes attributes
    own = {n for c in codes for n in (*c.co_varnames, *c.co_cellvars, *c.co_freevars)}
    if names.isdisjoint(own):
        return frozenset(names)
    instructions = (i for each in codes for i in dis.get_instructions(each))
    return frozenset(i.argval for i in instructions if i.opname.endswith(kinds))


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and those of all functions inside it."""
    yield code
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _codes_in(const)


def _reset_names(node: Node) -> frozenset[str]:
    """Return the global names that rule() resets before it does anything else.

    Rules pass what they found to their title() by such names. title() is only called after a match,
    which sets them again, so that values left by an earlier evaluation make no difference.
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
    """Return whether a handler names what it catches, and that is not BaseException."""
    return handler.type is not None and "BaseException" not in ast.dump(handler.type)


def _is_plain_error(value: type) -> bool:
    """Return whether a class is an exception without an `__init__` of its own."""
    is_own = value.__module__ != "builtins" and "__init__" in vars(value)
    return issubclass(value, Exception) and not is_own


def _containers(value: Any) -> Iterator[int]:
    """Yield the identities of a mutable container and of those nested in it."""
    if type(value) in (list, set, dict):
        yield id(value)
    if type(value) in (list, tuple, dict):
        for inner in value.values() if type(value) is dict else value:
            yield from _containers(inner)
