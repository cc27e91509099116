"""Runs the streaming rules of a content repository over records."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from local_panther.containment import TimeLimitError
from local_panther.content.model import Content, EventNames, PythonRule, includes, united
from local_panther.content.purity import Purity
from local_panther.detection.decisions import Answers, Known, answers_of_success
from local_panther.detection.running import run_rule
from local_panther.detection.signals import Signal
from local_panther.detection.view import PantherEvent
from local_panther.errors import RunErrors
from local_panther.records.model import Record
from local_panther.records.panther_fields import normalised_time

# Decisions are learned after this many evaluations in all, or this many for each rule if that is
# more, as analysing the code of the rules takes as long.
FEW, FEW_OF_A_RULE = 2000, 50
MAX_STOPPED = 3  # interrupted calls of a rule before it is left out; each takes the time limit


class Engine:
    """The streaming rules of a content repository.

    After some evaluations, the engine remembers the values of a record that a pure rule did not
    match, and does not evaluate the rule for these values again; see `detection.decisions`.

    Args:
        content: The content with its rules and data models.
        errors: Collects errors of rules.
    """

    def __init__(self, content: Content, errors: RunErrors) -> None:
        self._rules = content.rules
        self._by_name: dict[str, list[PythonRule]] = {}
        self._model = content.data_models.get(content.log_type)
        self._modules = content.modules
        self._errors = errors
        self._evaluated = 0
        self._foreseen = 0  # evaluations at most, for the records that are foreseen
        self._left_out: set[str] = set()  # IDs of rules that were interrupted too often
        self._few = max(FEW, FEW_OF_A_RULE * len(self._rules))

    @property
    def event_names(self) -> EventNames:
        """The eventNames that a rule can match, according to the rules' filters; None for all."""
        return united(rule.event_names for rule in self._rules)

    def has_many_with(self, record: Record) -> bool:
        """Count a record that `run` will get; return whether they are enough for `prepare`."""
        self._foreseen += len(self._for_name(record.name))
        return self._foreseen >= self._few

    def prepare(self) -> None:
        """Analyse the rules now; otherwise `run` does so after some evaluations."""
        _ = self._known

    def run(
        self, record: Record, arrival: float | None = None, fields: dict[str, Any] | None = None
    ) -> Iterator[Signal]:
        """Run the rules that can match a record and yield a signal for each match.

        Args:
            record: The record.
            arrival: Its time of arrival in seconds since 1970; by default the time of the event.
            fields: The result of `record.fields`, if the caller has it.
        """
        rules: Iterable[PythonRule] = self._for_name(record.name)
        if not rules:
            return
        is_learning = self._evaluated >= self._few
        # An empty name or source can also mean that the record lacks it or has another type there.
        is_plain = not record.has_failed and record.name and record.source
        if is_learning and is_plain and self._known.is_decided(answers_of_success(record)):
            return
        arrival = record.time if arrival is None else arrival
        seen = _Seen(record, arrival, fields, self._model)
        if is_learning:
            rules = self._known.undecided(rules, seen.answers)
        for rule in rules:
            if self._errors.raised and self._is_left_out(rule, record.where):
                continue
            self._evaluated += 1
            signal = run_rule(
                rule, seen.event, record.time, record.where, self._errors, self._model, arrival
            )
            if signal:
                yield signal

    def _is_left_out(self, rule: PythonRule, where: str) -> bool:
        """Return whether a rule was interrupted too often; report that once as its error."""
        name = rule.metadata.rule_id
        if name in self._left_out:
            return True
        stopped = self._errors.raised.get((name, TimeLimitError.__name__))
        if not stopped or stopped.count < MAX_STOPPED:
            return False
        self._left_out.add(name)
        self._errors.add(name, where, f"is left out from here on: stopped {MAX_STOPPED} times")
        return True

    def _for_name(self, name: str) -> list[PythonRule]:
        rules = self._by_name.get(name)
        if rules is None:
            rules = [rule for rule in self._rules if includes(rule.event_names, name)]
            self._by_name[name] = rules
        return rules

    @cached_property
    def _known(self) -> Known:
        methods = self._model.methods.values() if self._model else ()
        purity = Purity(self._modules, methods)
        rules = {id(rule): rule.detection.module.rule for rule in self._rules}
        return Known({rule: purity.impure_spots(function) for rule, function in rules.items()})


class _Seen:
    """A record in the forms that rules see, each computed when it is first used."""

    def __init__(self, record: Record, arrival: float, fields: Any, model: Any) -> None:
        self._record = record
        self._arrival = arrival
        self._given = fields
        self._model = model

    @cached_property
    def _fields(self) -> dict[str, Any]:
        return self._record.fields() if self._given is None else self._given

    @cached_property
    def event(self) -> dict[str, Any]:
        """The event."""
        event = self._record.event(self._fields)
        event["p_parse_time"] = normalised_time(self._arrival)
        return event

    @cached_property
    def answers(self) -> Answers:
        return Answers(self._fields, lambda: self.view)

    @cached_property
    def view(self) -> PantherEvent:
        return PantherEvent(self.event, self._model)
