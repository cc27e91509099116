"""What pure rules said of events, taken over for the next event with the same values.

Most evaluations say False after a look at two or three fields of few values: another eventName, a
call that failed. So the first evaluation is watched. What it asked the event, one question after
the other, becomes a path in a tree, each answer a branch, and the end is what the rule said. As
the rule is pure (`content.purity`), what it asks next and what it says at the end depend on the
answers alone: an event that gives the same answers needs no evaluation. Only "no match" is taken
over. A match is evaluated for each event, with its title and all else.
"""

import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from functools import cache, partial
from types import CodeType, FrameType
from typing import Any, cast

from jsonpath_ng import Child, Fields, JSONPath, Root  # type: ignore[import-untyped]
from panther_core import enriched_event
from panther_core.filter import Filter
from panther_core.immutable import ImmutableCaseInsensitiveDict

from local_panther.containment import call
from local_panther.content.importing import BodyRule
from local_panther.content.model import PythonRule
from local_panther.content.purity import Spot
from local_panther.detection.view import PantherEvent, lacks
from local_panther.records.model import Record
from local_panther.records.panther_fields import is_added

MAX_LEAVES = 1_000  # of a rule; beyond them its tree begins anew
TRIAL = 200  # evaluations, after which a rule that hardly ever repeats itself is watched no more

# The keys of a field, from the event down, then CONTENT for all that is in it; () for all of it.
Question = tuple[Any, ...]
Answer = Any  # text as it is; anything else so that it can be told apart

NO_MATCH, EVALUATE, UNKNOWN = "no match", "evaluate", None
MISSING = object()  # no such field
ODD = object()  # what is never remembered: it is not to be told apart, or too long
CONTENT = object()
FIELDS = object()  # what a field with fields in it answers; any other answers with its value
WHOLE: Question = ()  # a look at all of the event, which no other one will be like
NAMES = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)
MAX_ANSWER = 300  # characters
CODE_UNIT = 2  # bytes: https://docs.python.org/3/library/dis.html

# What most rules ask. The texts of errors are too many for a table: only whether there is one.
COMMON: tuple[Question, ...] = (("eventName",), ("eventSource",), ("errorCode",))
ERROR_MESSAGE: Question = ("errorMessage",)
MAX_COMMON = 2_000  # combinations of answers

PLAIN = (type(None), bool, int)
SCALARS = (*PLAIN, float, str)
TOLD_BY_TEXT = (float, dict, list)


class Answers(dict[Question, Answer]):
    """What one event answers, each question asked once for all rules.

    Most questions are about fields of the record, for which the event, with the fields that Panther
    adds, is not made.
    """

    def __init__(self, fields: Mapping[str, Any], view: Callable[[], PantherEvent]) -> None:
        """Take the event.

        Args:
            fields: The fields of the record without null.
            view: Returns the event as rules see it.
        """
        super().__init__()
        self._fields = fields
        self._names: frozenset[str] | None = None
        self.view = view

    @property
    def common(self) -> tuple[Answer, ...]:
        """The answers to what most rules ask."""
        return *(self[question] for question in COMMON), self[ERROR_MESSAGE] is MISSING

    def __missing__(self, question: Question) -> Answer:
        """Ask the event."""
        if question and question[-1] is CONTENT:
            answer = _told(self._value(question[:-1]))
        else:
            value = self._value(question)
            answer = FIELDS if type(value) is dict and value else _told(value)
        self[question] = answer
        return answer

    def _value(self, keys: Question) -> Any:
        """Return a field by its exact names; MISSING where `deep_get` would take the default."""
        if not keys:
            return ODD
        first = keys[0]
        if is_added(first):
            return _within(self.view()._container, keys)
        if first in self._fields:
            value = self._fields[first]
            return value if len(keys) == 1 else _within(value, keys[1:])
        if self._names is None:
            self._names = frozenset(map(str.lower, self._fields))
        return ODD if first.lower() in self._names else MISSING


def of_success(record: Record) -> tuple[Answer, ...]:
    """Return `Answers.common` of a record without errors, which need not be read for that."""
    return record.name, _told(record.source), MISSING, True


def _within(fields: Any, keys: Iterable[str]) -> Any:
    for key in keys:
        if type(fields) is not dict:
            return ODD if isinstance(fields, Mapping) else MISSING
        if key not in fields:
            return MISSING if lacks(fields, key) else ODD
        fields = fields[key]
    return fields


def _told(value: Any) -> Answer:
    """Return an answer as a key that equals only what is the same to every rule."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= MAX_ANSWER else ODD
    if kind in PLAIN:
        return kind, value
    if kind in TOLD_BY_TEXT:
        text = repr(value)
        return (kind, text) if len(text) <= MAX_ANSWER else ODD
    return value if value is MISSING else ODD


class WatchedEvent(enriched_event.PantherEvent):
    """An event that notes what a rule asks it.

    Attributes:
        path: The questions with their answers. It ends with the first answer that is ODD.
    """

    def __init__(self, answers: Answers) -> None:
        # Without panther_core's own: what it inherits asks for `_container`, and is noted there.
        self._answers = answers
        self._view = answers.view()
        vars(self).update(vars(self._view))
        self.path: dict[Question, Answer] = {}
        self._is_odd = False

    def passes(self, filters: Iterable[Filter]) -> bool:
        """Evaluate filters in their order, noting the fields that each one looks at."""
        for part in filters:
            if part.ands and not (part.condition or part.ors or part.nots or part.exception):
                if not self.passes(part.ands):
                    return False
                continue
            for question in _asked_by(part):
                self.note_all(*question)
            if not part.filter(self._view):
                return False
        return True

    def get(self, key: Any, default: Any = None) -> Any:
        """Return a field."""
        return self.watched((key,), partial(self._view.get, key, default))

    def __getitem__(self, key: Any) -> Any:
        """Return a field."""
        return self.watched((key,), partial(self._view.__getitem__, key))

    def deep_get(self, *keys: Any, default: Any = None) -> Any:
        """Return a value within fields."""
        read = partial(self._view.deep_get, *keys, default=default)
        return self.watched(keys, read, default)

    def watched(self, keys: Question, read: Callable[[], Any], default: Any = None) -> Any:
        """Return what is read, noting it; if that has fields itself, only those asked for.

        Args:
            keys: Of what is read.
            read: Reads it from the view.
            default: What it returns if there is none, which is looked into if it has fields: at a
                step that the answer does not tell.
        """
        is_looked_into = isinstance(default, Mapping) and len(default) > 0
        answer = self.note(*(WHOLE if is_looked_into else keys))
        return _WatchedField(self, keys, read()) if answer is FIELDS else read()

    def udm(self, *key: str, default: Any = None) -> Any:
        """Return what the data model has for a name, noting all that can decide it."""
        model = self.data_model if len(key) == 1 else None
        path = model.paths.get(key[0]) if model else None
        method = model.methods.get(key[0]) if model else None
        if path:
            self.note_all(*_keys_of(path))
        if method and type(method(self)) not in SCALARS:
            self.note(*WHOLE)  # what is looked at in it later is not noted
        if not path and not method:
            self.note_all("p_udm", *key)
            self.note_all(*key)
        return self._view.udm(*key, default=default)

    @property
    def _container(self) -> Any:
        self.note(*WHOLE)
        return self._view._container

    def __repr__(self) -> str:
        self.note(*WHOLE)
        return repr(self._view)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        self.note(*WHOLE)  # a copy would note its questions in a copy of this
        return deepcopy(self._view, memo)

    def note(self, *keys: Any) -> Answer:
        """Note a question with its answer, and return this."""
        is_plain = all(type(key) is str or key is CONTENT for key in keys)
        question = keys if is_plain else WHOLE
        answer = self._answers[question]
        if not self._is_odd and question not in self.path:
            self.path[question] = answer
            self._is_odd = answer is ODD
        return answer

    def note_all(self, *keys: Any) -> None:
        """Note a question with all that the field has in it."""
        if self.note(*keys) is FIELDS:
            self.note(*keys, CONTENT)


class _WatchedField(ImmutableCaseInsensitiveDict):
    """A field with fields in it that notes which of them a rule asks for."""

    def __init__(
        self, event: WatchedEvent, keys: Question, view: ImmutableCaseInsensitiveDict
    ) -> None:
        vars(self).update(vars(view))
        self._event, self._keys, self._view = event, keys, view

    def get(self, key: Any, default: Any = None) -> Any:
        """Return a field of it."""
        return self._event.watched((*self._keys, key), partial(self._view.get, key, default))

    def __getitem__(self, key: Any) -> Any:
        """Return a field of it."""
        return self._event.watched((*self._keys, key), partial(self._view.__getitem__, key))

    def deep_get(self, *keys: Any, default: Any = None) -> Any:
        """Return a value within its fields."""
        read = partial(self._view.deep_get, *keys, default=default)
        return self._event.watched((*self._keys, *keys), read, default)

    def __bool__(self) -> bool:
        """Return True, as it was noted that there are fields."""
        return True

    @property
    def _container(self) -> Any:
        self._event.note(*self._keys, CONTENT)
        return self._view._container

    def __repr__(self) -> str:
        self._event.note(*self._keys, CONTENT)
        return repr(self._view)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        self._event.note(*self._keys, CONTENT)
        return deepcopy(self._view, memo)


def _asked_by(part: Filter) -> Iterator[Question]:
    """Yield the fields that a filter looks at; WHOLE for what is more than names in names."""
    if part.exception:
        yield WHOLE
    if part.condition:
        target = str(part.condition.target)
        yield tuple(target.split(".")) if NAMES.fullmatch(target) else WHOLE
    for inner in (*part.ands, *part.ors, *part.nots):
        yield from _asked_by(inner)


def _keys_of(path: JSONPath) -> Question:
    """Return the keys of a JSON path that is names in names; WHOLE for any other."""
    if isinstance(path, Root):
        return ()
    if isinstance(path, Fields) and len(path.fields) == 1 and path.fields[0] != "*":
        return (str(path.fields[0]),)
    if isinstance(path, Child):
        left, right = _keys_of(path.left), _keys_of(path.right)
        return (*left, *right) if right and (left or isinstance(path.left, Root)) else WHOLE
    return WHOLE


class _Stop(BaseException):
    """Ends an evaluation; not an Exception, which rules catch."""


class _Stopper:
    """A context in which code stops before it does something that is not pure."""

    def __init__(self, spots: Collection[Spot]) -> None:
        self._spots: dict[str, list[Spot]] = {}
        for spot in spots:
            self._spots.setdefault(spot.file, []).append(spot)
        self._stops: dict[CodeType, frozenset[int]] = {}
        self._before: Any = None
        self.has_stopped = False

    def __enter__(self) -> None:
        self.has_stopped = False
        self._before = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # or Python 3.12 gives them of no frame
        sys.settrace(self._on_call)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _on_call(self, frame: FrameType, *_: object) -> Any:
        code = frame.f_code
        if code.co_filename not in self._spots:
            return None
        if code not in self._stops:
            self._stops[code] = frozenset(_stops(code, self._spots[code.co_filename]))
        return self._on_event if self._stops[code] else None

    def _on_event(self, frame: FrameType, event: str, _: object) -> Any:
        frame.f_trace_opcodes = True  # at a line, or Python 3.13 gives none
        if event == "opcode" and frame.f_lasti in self._stops[frame.f_code]:
            self.has_stopped = True
            raise _Stop
        return self._on_event


def _stops(code: CodeType, spots: Iterable[Spot]) -> Iterator[int]:
    """Yield the offsets of the instructions that begin something at one of some spots.

    What follows an instruction's end is not at it, such as the call of a method that was looked up.
    Without columns (`python -X no_debug_ranges`), whatever is on the lines of a spot is.
    """
    spans = [(start, end) for _, start, end in spots]
    for number, (line, end_line, column, end_column) in enumerate(code.co_positions()):
        if line is None:  # what Python added
            continue
        for start, end in spans:
            if end is None or column is None:
                is_there = start[0] <= line <= (end or start)[0]
            else:
                is_there = (line, column) >= start and (end_line, end_column) == end
            if is_there:
                yield number * CODE_UNIT


@cache
def can_stop() -> bool:
    """Return whether this Python tells of each instruction before it runs it."""
    stopper = _Stopper([Spot(__file__, (_stop_here.__code__.co_firstlineno + 1, 0), None)])
    with suppress(_Stop), stopper:
        _stop_here()
    return stopper.has_stopped


def _stop_here() -> str:
    return __name__.lower()


class Known:
    """What is known of all rules."""

    def __init__(self, impure: Mapping[int, Collection[Spot] | None]) -> None:
        """Start with nothing.

        Args:
            impure: By the identity of a rule, what is not pure in it and in what it calls; None for
                a rule that is always evaluated.
        """
        self._decisions = {
            rule: Decisions(spots)
            for rule, spots in impure.items()
            if spots is not None and (not spots or can_stop())
        }
        self._seen = 0
        self._left: dict[tuple[Answer, ...], list[_Undecided]] = {}

    def is_decided(self, common: tuple[Answer, ...]) -> bool:
        """Return whether it is known that no rule matches events with these common answers."""
        found = self._left.get(common) == []
        self._seen += found
        return found

    def undecided(self, rules: Iterable[PythonRule], answers: Answers) -> Iterator[PythonRule]:
        """Yield the rules of which it is not known that they do not match an event.

        Args:
            rules: The rules for its eventName.
            answers: Those of the event.
        """
        self._seen += 1
        common = answers.common
        left = self._left.get(common)
        if left is None:
            if len(self._left) >= MAX_COMMON:
                self._left.clear()
            left = [_Undecided(rule, self._decisions.get(id(rule))) for rule in rules]
            self._left[common] = left
        decided = set()
        for entry in left:
            decisions = entry.decisions
            if decisions is not None:
                said = decisions.of(answers)
                if said is UNKNOWN and decisions.is_useful:
                    said = decisions.learn(entry.rule.detection, answers, self._seen)
                if said is NO_MATCH:
                    if not entry.is_checked:
                        entry.is_checked = True
                        if decisions.is_common(answers):
                            decided.add(entry)
                    continue
            yield entry.rule
        if decided:
            self._left[common] = [entry for entry in left if entry not in decided]


class _Undecided:
    """A rule that the common answers leave open."""

    __slots__ = ("decisions", "is_checked", "rule")

    def __init__(self, rule: PythonRule, decisions: "Decisions | None") -> None:
        self.rule = rule
        self.decisions = decisions
        self.is_checked = False  # whether the common answers say "no match"


class Decisions:
    """What one rule said so far, whenever it came by pure code only."""

    def __init__(self, impure: Collection[Spot]) -> None:
        """Start with nothing.

        Args:
            impure: What is not pure in the rule, and in what it calls.
        """
        self._stopper = _Stopper(impure) if impure else None
        self._root: Any = UNKNOWN
        self._leaves = 0
        self._watched = 0
        self.is_useful = True

    def of(self, answers: Answers) -> str | None:
        """Return what the rule says of an event: NO_MATCH, or EVALUATE or UNKNOWN."""
        node = self._root
        while type(node) is tuple:
            node = node[1].get(answers[node[0]])
        return cast("str | None", node)

    def is_common(self, answers: Answers) -> bool:
        """Return whether what the rule says of an event follows from the common answers."""
        node = self._root
        while type(node) is tuple:
            question = node[0]
            is_none = question == ERROR_MESSAGE and answers[question] is MISSING
            if question not in COMMON and not is_none:
                return False
            node = node[1].get(answers[question])
        return True

    def learn(self, rule: BodyRule, answers: Answers, seen: int) -> str:
        """Evaluate a rule, and remember what it said.

        Args:
            rule: The rule.
            answers: Those of the event.
            seen: The number of events so far.

        Returns:
            NO_MATCH, or EVALUATE: a match and an error are evaluated as ever.
        """
        event = WatchedEvent(answers)
        passes = partial(event.passes, rule.filters)
        if self._stopper:
            with self._stopper:
                said, error = call(rule.denies, event, passes)
            said = said and not self._stopper.has_stopped
        else:
            said, error = call(rule.denies, event, passes)
        verdict = NO_MATCH if said and not error else EVALUATE
        is_odd = ODD in event.path.values()
        self._remember(event.path, EVALUATE if is_odd else verdict)
        self._watched += 1
        self.is_useful = self._watched < TRIAL or self._watched < seen // 4
        return verdict

    def _remember(self, path: Mapping[Question, Answer], verdict: str) -> None:
        if self._leaves >= MAX_LEAVES:
            self._root, self._leaves = UNKNOWN, 0
        self._leaves += 1
        node, attach = self._root, self._begin
        for question, answer in path.items():
            if node is UNKNOWN:
                node = (question, {})
                attach(node)
            if type(node) is not tuple or node[0] != question:
                self.is_useful = False  # it asked something else after the same answers
                return
            node, attach = node[1].get(answer), partial(node[1].__setitem__, answer)
        attach(verdict)

    def _begin(self, node: Any) -> None:
        self._root = node
