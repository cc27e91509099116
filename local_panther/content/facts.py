"""The names that a file of a repository provides to other files, and those that it needs of them.

Files refer to each other by names: a helper is imported by its GlobalID, a base detection is named
by its RuleID, a data model is found by its log type. A file whose needs cannot be seen in its text,
such as one with a computed import, needs `ANYTHING`.
"""

import ast
import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import yaml

from local_panther.content.agreements import COMMENT
from local_panther.remembered import verdicts

ANYTHING = "anything"
ID_KEYS = ("RuleID", "PolicyID", "QueryName", "GlobalID", "DataModelID", "PackID", "LookupName")
SQL_KEYS = ("SnowflakeQuery", "Query", "DatabricksQuery", "AthenaQuery")
TEMPLATE_SOURCE = re.compile(r"\{%-?\s*(?:import|from|include|extends)\s+['\"]([^'\"]+)['\"]")
# Names by which Python code loads code from a computed place, or data from a file
CODE = frozenset(("__import__", "compile", "eval", "exec", "importlib", "pkgutil", "runpy"))
COMPUTED = CODE | {"__file__", "open", "read_bytes", "read_text"}
SYSTEM = frozenset(("meta_path", "modules", "path", "path_hooks"))  # attributes of `sys`
MAX_FIELD_LENGTH = 500  # characters of a value that the tool's `--filter` can compare


@dataclass
class Facts:
    """Facts about a file that can be read off its text alone.

    Attributes:
        kind: The AnalysisType of an item; "" for a file that is not an item.
        item: The ID of an item.
        gives: The names by which other files find this one.
        needs: The names of what this file needs, in the same form.
        lists: The IDs listed by a pack; it only needs such items to exist.
        body: The Python file of an item, as written in its Filename.
        fields: Values that the tool's `--filter` compares, by key: a short string or a list of
            them; None for any other value.
        is_readable: False for YAML or Python that cannot be parsed.
    """

    kind: str = ""
    item: str = ""
    gives: list[str] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    body: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    is_readable: bool = True

    @property
    def is_item(self) -> bool:
        """True if the file is an item, or may be one because it cannot be parsed."""
        return bool(self.kind) or not self.is_readable


def facts_of(files: Mapping[str, bytes]) -> dict[str, Facts]:
    """Return the facts of files.

    Args:
        files: Contents by file name; the suffix decides how a file is parsed.
    """
    # latin-1 maps each byte to a character; invalid UTF-8 is found below.
    texts = {name: content.decode("latin-1") for name, content in files.items()}
    found: dict[str, Facts] = {}
    for suffix, find in FINDERS.items():
        names = [name for name in files if name.endswith(suffix)]
        kept = verdicts.get_all(f"facts of {suffix}", {texts[name] for name in names})
        for name in names:
            text = kept.get(texts[name])
            found[name] = Facts(**json.loads(text)) if text else find(files[name])
            if not text and found[name].is_readable:
                with contextlib.suppress(TypeError, ValueError):
                    as_json = json.dumps(asdict(found[name]))
                    verdicts.keep(f"facts of {suffix}", {texts[name]: as_json})
    return {name: found.get(name) or Facts() for name in files}


def _yaml_facts(content: bytes) -> Facts:
    from local_panther.content.tool import load_yaml  # takes 0.2 s, and most facts are cached

    try:
        text = content.decode()
        spec = load_yaml(content)
    except (UnicodeDecodeError, ValueError, yaml.YAMLError, RecursionError):
        return Facts(is_readable=False)
    settings = [f"stem:{found['module']}" for found in COMMENT.finditer(text)]
    if not isinstance(spec, Mapping) or "AnalysisType" not in spec:
        return Facts(needs=settings)
    kind = str(spec["AnalysisType"])
    item = next((str(spec[key]) for key in ID_KEYS if key in spec), "")
    gives = [f"id:{item}"]
    needs = [f"id:{item}", *settings, *_needed_ids(spec)]
    if kind == "global":
        gives.append(f"module:{item}")
    models = [f"model:{name}" for name in _log_types(spec)]
    if kind == "datamodel":
        gives += models
    needs += models
    body = spec.get("Filename")
    return Facts(
        kind,
        item,
        gives,
        sorted(set(needs)),
        sorted(set(_listed(spec))),
        body if isinstance(body, str) else "",
        {str(key): value if _is_short_text(value) else None for key, value in spec.items()},
    )


def _needed_ids(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of the items that an item refers to."""
    if base := spec.get("BaseDetection"):
        yield f"id:{base}"
    for name in _texts(spec.get("ScheduledQueries")):
        yield f"id:{name}"
    for key in SQL_KEYS:
        for name in TEMPLATE_SOURCE.findall(str(spec.get(key, ""))):
            yield f"id:{name}"
    yield from (f"id:{name}" for name in _steps(spec.get("Detection")))


def _steps(value: Any) -> Iterator[str]:
    """Yield each RuleID within the logic of a correlation rule."""
    if isinstance(value, Mapping):
        if isinstance(value.get("RuleID"), str):
            yield value["RuleID"]
        for each in value.values():
            yield from _steps(each)
    elif isinstance(value, list):
        for each in value:
            yield from _steps(each)


def _log_types(spec: Mapping[str, Any]) -> set[str]:
    """Return the log types of an item and of the events of its tests."""
    found = set(_texts(spec.get("LogTypes")))
    tests = spec.get("Tests")
    for test in tests if isinstance(tests, list) else ():
        event = test.get("Log") or test.get("Resource") if isinstance(test, Mapping) else None
        if isinstance(event, Mapping):
            found.update(_texts([event.get("p_log_type")]))
    return found


def _listed(spec: Mapping[str, Any]) -> Iterable[str]:
    definition = spec.get("PackDefinition")
    return _texts(definition.get("IDs")) if isinstance(definition, Mapping) else ()


def _texts(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _is_short_text(value: Any) -> bool:
    texts = value if isinstance(value, list) else [value]
    return all(isinstance(each, str) for each in texts) and len(repr(value)) <= MAX_FIELD_LENGTH


def _python_facts(content: bytes) -> Facts:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Facts(is_readable=False)
    return Facts(needs=sorted(set(_imports(tree))))


def _imports(tree: ast.AST) -> Iterator[str]:
    """Yield the names of what a Python file needs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _module(alias.name)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield ANYTHING
            yield from _module(node.module or "")
            for alias in node.names:
                yield from _module(f"{node.module}.{alias.name}")
        elif _is_computed(node):
            yield ANYTHING


def _is_computed(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id in COMPUTED
    if not isinstance(node, ast.Attribute):
        return False
    is_system = isinstance(node.value, ast.Name) and node.value.id == "sys"
    # `compile` as an attribute is that of `re`, which loads no code
    return node.attr in (SYSTEM if is_system else COMPUTED - {"compile"})


def _module(name: str) -> Iterator[str]:
    """Yield the names by which a module can be found: that of a helper, and possible paths."""
    first, path = name.partition(".")[0], name.replace(".", "/")
    yield from (f"module:{first}", f"file:{path}.py", f"file:{path}/__init__.py")
    if first in CODE:
        yield ANYTHING


FINDERS = {".yml": _yaml_facts, ".yaml": _yaml_facts, ".py": _python_facts}
