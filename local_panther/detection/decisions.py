"""Reuses the results of pure rules for later events with the same values.

Most rules return False after reading two or three fields with few distinct values, such as another
eventName. So the first evaluation is watched. The fields it reads, its questions, become the nodes
of a tree, their values, the answers, the branches, and the result a leaf. As the rule is pure
(`content.purity`), the next question and the result depend on the answers alone: an event with the
same answers needs no evaluation. Only "no match" is reused. A match is evaluated for each event,
with title() and the other functions.
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

MAX_LEAVES = 1_000  # in the tree of a rule, which is rebuilt beyond them
FEW_IN_VAIN = 3  # watched evaluations in a row without a result to reuse, before some are unwatched
TRIAL = 200  # evaluations after which a rule that hardly ever repeats a path is no longer watched

# The path of a field in an event. CONTENT at the end stands for its whole value, () for all fields.
Question = tuple[Any, ...]
Answer = Any  # a text as it is, any other value as a key for comparison

NO_MATCH, EVALUATE, UNKNOWN = "no match", "evaluate", None
MISSING = object()  # the answer of a missing field
ODD = object()  # an answer that is never remembered, as it cannot be compared or is too long
CONTENT = object()
FIELDS = object()  # the answer of an object with fields; other fields answer with their value
WHOLE: Question = ()  # the whole event, which differs from all others
NAMES = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)
MAX_ANSWER = 300  # characters
CODE_UNIT = 2  # bytes: https://docs.python.org/3/library/dis.html

# The questions of most rules. Error messages have too many values: only their presence is asked.
COMMON: tuple[Question, ...] = (("eventName",), ("eventSource",), ("errorCode",))
ERROR_MESSAGE: Question = ("errorMessage",)
MAX_COMMON = 2_000  # combinations of answers

PLAIN = (type(None), bool, int)
SCALARS = (*PLAIN, float, str)
COMPARED_AS_TEXT = (float, dict, list)


class Answers(dict[Question, Answer]):
    """The answers of an event, by question; each is found once for all rules.

    Most questions are about fields of the record, which need no event with Panther's own fields.
    """

    def __init__(self, fields: Mapping[str, Any], view: Callable[[], PantherEvent]) -> None:
        """Start without answers.

        Args:
            fields: The fields of the record, without null fields.
            view: Returns the event as rules see it.
        """
        super().__init__()
        self._fields = fields
        self._names: frozenset[str] | None = None
        self.view = view

    @property
    def common(self) -> tuple[Answer, ...]:
        """The answers to the questions of most rules."""
        return *(self[question] for question in COMMON), self[ERROR_MESSAGE] is MISSING

    def __missing__(self, question: Question) -> Answer:
        """Find, keep and return an answer."""
        if question and question[-1] is CONTENT:
            answer = _answer(self._value(question[:-1]))
        else:
            value = self._value(question)
            answer = FIELDS if type(value) is dict and value else _answer(value)
        self[question] = answer
        return answer

    def _value(self, keys: Question) -> Any:
        """Return a field by its exact path; MISSING where `deep_get` would return the default."""
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


def answers_of_success(record: Record) -> tuple[Answer, ...]:
    """Return `Answers.common` of a record without errors, without reading the record."""
    return record.name, _answer(record.source), MISSING, True


def _within(fields: Any, keys: Iterable[str]) -> Any:
    for key in keys:
        if type(fields) is not dict:
            return ODD if isinstance(fields, Mapping) else MISSING
        if key not in fields:
            return MISSING if lacks(fields, key) else ODD
        fields = fields[key]
    return fields


def _answer(value: Any) -> Answer:
    """Return the answer for a value; two are equal only if no rule can distinguish the values."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= MAX_ANSWER else ODD
    if kind in PLAIN:
        return kind, value
    if kind in COMPARED_AS_TEXT:
        text = repr(value)
        return (kind, text) if len(text) <= MAX_ANSWER else ODD
    return value if value is MISSING else ODD


class WatchedEvent(enriched_event.PantherEvent):
    """An event that records the fields that a rule reads.

    Attributes:
        path: The questions with their answers, up to the first answer that is ODD.
    """

    def __init__(self, answers: Answers) -> None:
        # panther_core's own __init__ is not called. Inherited methods read `_container`, which
        # records them.
        self._answers = answers
        self._view = answers.view()
        vars(self).update(vars(self._view))
        self.path: dict[Question, Answer] = {}
        self._is_odd = False

    def passes(self, filters: Iterable[Filter]) -> bool:
        """Evaluate filters in their order, and note the fields that each one reads."""
        for part in filters:
            if part.ands and not (part.condition or part.ors or part.nots or part.exception):
                if not self.passes(part.ands):
                    return False
                continue
            for question in _fields_read_by(part):
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
        """Read and note a field; of an object, only the fields that the rule then reads are noted.

        Args:
            keys: The path of the field.
            read: Reads the field from the view.
            default: The value that `read` returns for a missing field. If it has fields, the whole
                event is noted, as the answer does not show whether they are read.
        """
        is_looked_into = isinstance(default, Mapping) and len(default) > 0
        answer = self.note(*(WHOLE if is_looked_into else keys))
        return _WatchedField(self, keys, read()) if answer is FIELDS else read()

    def udm(self, *key: str, default: Any = None) -> Any:
        """Return the data model's value for a name, and note all fields that can decide it."""
        model = self.data_model if len(key) == 1 else None
        path = model.paths.get(key[0]) if model else None
        method = model.methods.get(key[0]) if model else None
        if path:
            self.note_all(*_keys_of(path))
        if method and type(method(self)) not in SCALARS:
            self.note(*WHOLE)  # later reads inside the returned value cannot be noted
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
        self.note(*WHOLE)  # a copied event would note its questions in the copy
        return deepcopy(self._view, memo)

    def note(self, *keys: Any) -> Answer:
        """Note a question with its answer, and return the answer."""
        is_plain = all(type(key) is str or key is CONTENT for key in keys)
        question = keys if is_plain else WHOLE
        answer = self._answers[question]
        if not self._is_odd and question not in self.path:
            self.path[question] = answer
            self._is_odd = answer is ODD
        return answer

    def note_all(self, *keys: Any) -> None:
        """Note a question with the whole value of the field."""
        if self.note(*keys) is FIELDS:
            self.note(*keys, CONTENT)


class _WatchedField(ImmutableCaseInsensitiveDict):
    """An object in an event that records which of its fields a rule reads."""

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
        """Return True, as FIELDS was noted for the object."""
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


def _fields_read_by(part: Filter) -> Iterator[Question]:
    """Yield the fields that a filter reads; WHOLE for a KeyPath that is not a plain path."""
    if part.exception:
        yield WHOLE
    if part.condition:
        target = str(part.condition.target)
        yield tuple(target.split(".")) if NAMES.fullmatch(target) else WHOLE
    for inner in (*part.ands, *part.ors, *part.nots):
        yield from _fields_read_by(inner)


def _keys_of(path: JSONPath) -> Question:
    """Return the keys of a plain JSON path; WHOLE for any other path."""
    if isinstance(path, Root):
        return ()
    if isinstance(path, Fields) and len(path.fields) == 1 and path.fields[0] != "*":
        return (str(path.fields[0]),)
    if isinstance(path, Child):
        left, right = _keys_of(path.left), _keys_of(path.right)
        return (*left, *right) if right and (left or isinstance(path.left, Root)) else WHOLE
    return WHOLE


class _Stop(BaseException):
    """An interruption of an evaluation; not an Exception, as rules may catch those."""


class _Stopper:
    """A context in which code is stopped before it runs an impure spot."""

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
        sys._getframe().f_trace_opcodes = True  # or Python 3.12 traces no frame's instructions
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
        frame.f_trace_opcodes = True  # set at each event, or Python 3.13 traces no instructions
        if event == "opcode" and frame.f_lasti in self._stops[frame.f_code]:
            self.has_stopped = True
            raise _Stop
        return self._on_event


def _stops(code: CodeType, spots: Iterable[Spot]) -> Iterator[int]:
    """Yield the offsets of the instructions at the given spots.

    An instruction is at a spot if it starts at or after its start and ends where it ends.
    Without columns (`python -X no_debug_ranges`), all instructions on the lines of a spot count.
    """
    spans = [(start, end) for _, start, end in spots]
    for number, (line, end_line, column, end_column) in enumerate(code.co_positions()):
        if line is None:  # an instruction without source code
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
    """Return whether this Python can trace each instruction before running it."""
    stopper = _Stopper([Spot(__file__, (_stop_here.__code__.co_firstlineno + 1, 0), None)])
    with suppress(_Stop), stopper:
        _stop_here()
    return stopper.has_stopped


def _stop_here() -> str:
    return __name__.lower()


class Known:
    """The decisions learned for all rules."""

    def __init__(self, impure: Mapping[int, Collection[Spot] | None]) -> None:
        """Start without decisions.

        Args:
            impure: The impure spots in a rule and in the functions that it calls, by `id` of the
                rule; None for a rule that must always be evaluated.
        """
        self._decisions = {
            rule: Decisions(spots)
            for rule, spots in impure.items()
            if spots is not None and (not spots or can_stop())
        }
        self._seen = 0
        self._left: dict[tuple[Answer, ...], list[_Undecided]] = {}

    def is_decided(self, common: tuple[Answer, ...]) -> bool:
        """Return whether no rule can match an event with these common answers."""
        found = self._left.get(common) == []
        self._seen += found
        return found

    def undecided(self, rules: Iterable[PythonRule], answers: Answers) -> Iterator[PythonRule]:
        """Yield the rules that may match an event, and so must be evaluated.

        Args:
            rules: The rules for its eventName.
            answers: The answers of the event.
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
                decision = decisions.of(answers)
                if decision is UNKNOWN and decisions.are_worth_learning():
                    decision = decisions.learn(entry.rule.detection, answers, self._seen)
                if decision is NO_MATCH:
                    if not entry.is_checked:
                        entry.is_checked = True
                        if decisions.is_common(answers):
                            decided.add(entry)
                    continue
            yield entry.rule
        if decided:
            self._left[common] = [entry for entry in left if entry not in decided]


class _Undecided:
    """A rule that the common answers alone do not decide."""

    __slots__ = ("decisions", "is_checked", "rule")

    def __init__(self, rule: PythonRule, decisions: "Decisions | None") -> None:
        self.rule = rule
        self.decisions = decisions
        self.is_checked = False  # whether `Decisions.is_common` was called for it


class Decisions:
    """The decisions learned for one rule, from evaluations that ran pure code only."""

    def __init__(self, impure: Collection[Spot]) -> None:
        """Start without decisions.

        Args:
            impure: The impure spots in the rule and in the functions that it calls.
        """
        self._stopper = _Stopper(impure) if impure else None
        self._root: Any = UNKNOWN
        self._leaves = 0
        self._watched = 0
        self._in_vain = 0  # watched evaluations since the last one that found no match
        self._unwatched = 0  # evaluations to come before the next one is watched
        self.is_useful = True

    def are_worth_learning(self) -> bool:
        """Return whether the next evaluation should be watched; called before each one.

        The more evaluations in a row found nothing to reuse, the more are not watched: a rule that
        reads the time of a failed call, for example, asks about it each time.
        """
        if self._unwatched:
            self._unwatched -= 1
            return False
        return self.is_useful

    def of(self, answers: Answers) -> str | None:
        """Return the decision for an event: NO_MATCH, EVALUATE or UNKNOWN."""
        node = self._root
        while type(node) is tuple:
            node = node[1].get(answers[node[0]])
        return cast("str | None", node)

    def is_common(self, answers: Answers) -> bool:
        """Return whether the decision for an event follows from the common answers alone."""
        node = self._root
        while type(node) is tuple:
            question = node[0]
            is_none = question == ERROR_MESSAGE and answers[question] is MISSING
            if question not in COMMON and not is_none:
                return False
            node = node[1].get(answers[question])
        return True

    def learn(self, rule: BodyRule, answers: Answers, seen: int) -> str:
        """Evaluate a rule while watching it, and remember the decision.

        Args:
            rule: The rule.
            answers: The answers of the event.
            seen: Number of events so far.

        Returns:
            NO_MATCH, or EVALUATE for a match or an error, which the caller evaluates as usual.
        """
        event = WatchedEvent(answers)
        passes = partial(event.passes, rule.filters)
        if self._stopper:
            with self._stopper:
                denies, error = call(rule.denies, event, passes)
            denies = denies and not self._stopper.has_stopped
        else:
            denies, error = call(rule.denies, event, passes)
        verdict = NO_MATCH if denies and not error else EVALUATE
        is_odd = ODD in event.path.values()
        self._remember(event.path, EVALUATE if is_odd else verdict)
        self._watched += 1
        self._in_vain = 0 if verdict is NO_MATCH and not is_odd else self._in_vain + 1
        self._unwatched = max(0, self._in_vain - FEW_IN_VAIN)
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
                self.is_useful = False  # it asked another question after the same answers
                return
            node, attach = node[1].get(answer), partial(node[1].__setitem__, answer)
        attach(verdict)

    def _begin(self, node: Any) -> None:
        self._root = node
