"""Evaluates Sequences: steps one after the other within the lookback.

Assumptions where the documentation is silent (low confidence): the time of a transition runs from
the last signal of the earlier step to the first of the later one; MaxMatchCount limits all signals
of the step within the lookback of the match; a match waits for an Absence step at its end.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from local_panther.content.correlation_grammar import CorrelationLogic, Step
from local_panther.correlation.group import Found, count, index_after, index_from
from local_panther.correlation.signals import StepSignal

Signals = Mapping[str, Sequence[StepSignal]]


@dataclass(frozen=True)
class _Block:
    """The consecutive signals that one step of a chain uses."""

    step: Step
    signals: Sequence[StepSignal]

    @property
    def first(self) -> float:
        return self.signals[0].time

    @property
    def last(self) -> float:
        return self.signals[-1].time


def sequence_match(rule: CorrelationLogic, signals: Signals) -> Found | None:
    """Find a chain of signals that satisfies a Sequence.

    Equal times count as in order, and time limits are inclusive.

    Args:
        rule: A Sequence.
        signals: Signals of one binding by step ID, in order of time.

    Returns:
        The signals that take part by step ID, and the time from which no signal can contradict the
        match.
    """
    chains = Chains(rule, signals)
    order = reversed(chains.starts) if rule.newest_first else chains.starts
    return next((found for start in order if (found := chains.match_from(start))), None)


class Chains:
    """A search for chains among the signals of one binding.

    Attributes:
        starts: Indexes of the signals of the first step that a chain may begin with.
    """

    def __init__(
        self,
        rule: CorrelationLogic,
        signals: Signals,
        first: float = -math.inf,
        last: float = math.inf,
    ) -> None:
        """Prepare a search.

        Args:
            rule: A Sequence.
            signals: Signals of one binding by step ID, in order of time.
            first: Earliest time of a signal that may take part, in seconds since 1970.
            last: Latest time of a signal that may take part.
        """
        self._rule = rule
        self._signals = signals
        self._last = last
        self._present = [step for step in rule.steps if not step.absent]
        self._dead_ends: set[tuple[object, ...]] = set()
        self._order = {step.id: i for i, step in enumerate(rule.steps)}
        own = signals[self._present[0].id]
        self.starts = range(index_from(own, first), index_after(own, last))
        if any(len(signals[step.id]) < step.min_count for step in self._present):
            self.starts = range(0)

    def start(self, index: int) -> StepSignal:
        """Return a signal of the first step by its index."""
        return self._signals[self._present[0].id][index]

    def match_from(self, index: int) -> Found | None:
        """Return the chain that begins with a signal of the first step, given by its index."""
        if self._has_too_many(self.start(index).time):
            return None
        for block in self._runs(self._present[0], index, math.inf):
            if chain := self._search([block]):
                return {b.step.id: b.signals for b in chain}, _settled(self._rule, chain)
        return None

    def _has_too_many(self, first: float) -> bool:
        """Return whether every chain from this time exceeds a MaxMatchCount."""
        lookback = self._rule.lookback
        last = min(first + lookback, self._last)
        return any(
            count(self._signals[step.id], last - lookback, first + lookback) > step.max_count
            for step in self._present
            if step.max_count is not None
        )

    def _search(self, chain: list[_Block]) -> list[_Block] | None:
        """Extend a chain to all steps that need signals, depth first; return None if impossible."""
        rule, signals = self._rule, self._signals
        if len(chain) == len(self._present):
            complete = _keeps_maxima(rule, chain, signals) and not _is_broken(rule, chain, signals)
            return chain if complete else None
        if _is_broken(rule, chain, signals, inside_only=True):
            return None
        state = _state(rule, chain)
        if state in self._dead_ends:
            return None
        for block in self._blocks(chain):
            if found := self._search([*chain, block]):
                return found
        self._dead_ends.add(state)
        return None

    def _blocks(self, chain: list[_Block]) -> Iterator[_Block]:
        """Yield the blocks of signals that can continue a chain.

        A step that needs several signals begins with the first signal after the previous step. A
        later beginning would not help, except with an Absence step whose limit reaches back from
        this step.
        """
        rule, step = self._rule, self._present[len(chain)]
        signals = self._signals[step.id]
        latest = min(self._last, *(_latest(rule, block, step) for block in chain))
        starts = range(index_from(signals, chain[-1].last), index_after(signals, latest))
        if (broken := self._broken_from(chain[-1], step)) < math.inf:
            starts = range(starts.start, min(starts.stop, index_from(signals, broken)))
        absent = {other.id for other in rule.steps if other.absent}
        reaches_back = any(t.target == step.id and t.source in absent for t in rule.transitions)
        if step.min_count > 1 and not reaches_back:
            starts = starts[:1]
        end_limit = chain[0].first + rule.lookback
        for start in reversed(starts) if rule.newest_first else starts:
            yield from self._runs(step, start, end_limit)

    def _runs(self, step: Step, start: int, end_limit: float) -> Iterator[_Block]:
        """Yield the blocks that begin with a signal, given by its index.

        A step that needs one signal uses one. A step that needs more uses all signals from the
        first to the last one of the block.
        """
        signals, lookback = self._signals[step.id], self._rule.lookback
        last_end = start + 1 if step.min_count == 1 else len(signals)
        for end in range(start + step.min_count, last_end + 1):
            last = signals[end - 1].time
            if last > min(end_limit, self._last) or last - signals[start].time > lookback:
                break
            yield _Block(step, signals[start:end])

    def _broken_from(self, before: _Block, step: Step) -> float:
        """Return the time from which a block would come after a signal of an Absence step."""
        broken = math.inf
        for absent in self._rule.steps[self._order[before.step.id] : self._order[step.id]]:
            pairs = {(t.source, t.target): t.within for t in self._rule.transitions}
            if not absent.absent or any(source == absent.id for source, _ in pairs):
                continue
            signals = self._signals[absent.id]
            index = index_from(signals, before.last)
            if index == len(signals):
                continue
            limits = [
                earlier + within
                for (source, target), within in pairs.items()
                if target == absent.id and within is not None
                for earlier in ([before.last] if source == before.step.id else [-math.inf])
            ]
            if signals[index].time <= min(limits, default=math.inf):
                broken = min(broken, signals[index].time)
        return broken


def _state(rule: CorrelationLogic, chain: list[_Block]) -> tuple[object, ...]:
    """Return the state that the rest of a search depends on.

    Chains with equal state have equal continuations. The first signal limits the lookback, the last
    block limits the next one, and any block may limit a later one by a transition or an Absence
    step.
    """
    bounding = {step for t in rule.transitions for step in (t.source, t.target)}
    bounds = tuple((b.first, b.last) for b in chain[:-1] if b.step.id in bounding)
    return len(chain), chain[0].first, chain[-1].first, chain[-1].last, bounds


def _latest(rule: CorrelationLogic, block: _Block, step: Step) -> float:
    pair = (block.step.id, step.id)
    limits = [t.within for t in rule.transitions if (t.source, t.target) == pair]
    return block.last + min([w for w in limits if w is not None], default=rule.lookback)


def _keeps_maxima(rule: CorrelationLogic, chain: list[_Block], signals: Signals) -> bool:
    low, high = chain[-1].last - rule.lookback, chain[0].first + rule.lookback
    return all(
        block.step.max_count is None
        or count(signals[block.step.id], low, high) <= block.step.max_count
        for block in chain
    )


def _is_broken(
    rule: CorrelationLogic, chain: list[_Block], signals: Signals, *, inside_only: bool = False
) -> bool:
    """Return whether an Absence step has a signal in its forbidden period.

    Args:
        rule: The Sequence.
        chain: The blocks so far.
        signals: Signals by step ID, in order of time.
        inside_only: Check only Absence steps between two steps of the chain whose forbidden period
            no later step can shorten.
    """
    placed = {block.step.id for block in chain}
    for step in rule.steps:
        if not step.absent:
            continue
        before, after = _neighbours(rule, chain, step)
        narrows = any(t.source == step.id and t.target not in placed for t in rule.transitions)
        if inside_only and (narrows or not (before and after)):
            continue
        if count(signals[step.id], *_forbidden(rule, chain, step)):
            return True
    return False


def _neighbours(
    rule: CorrelationLogic, chain: list[_Block], step: Step
) -> tuple[list[_Block], list[_Block]]:
    order = {other.id: i for i, other in enumerate(rule.steps)}
    before = [block for block in chain if order[block.step.id] < order[step.id]]
    after = [block for block in chain if order[block.step.id] > order[step.id]]
    return before, after


def _forbidden(rule: CorrelationLogic, chain: list[_Block], step: Step) -> tuple[float, float]:
    """Return the first and last time at which a signal of an Absence step breaks a chain."""
    before, after = _neighbours(rule, chain, step)
    low = before[-1].last if before else chain[-1].last - rule.lookback
    high = after[0].first if after else chain[0].first + rule.lookback
    for transition in rule.transitions:
        if transition.within is None:
            continue
        for block in before:
            if (transition.source, transition.target) == (block.step.id, step.id):
                high = min(high, block.last + transition.within)
        for block in after:
            if (transition.source, transition.target) == (step.id, block.step.id):
                low = max(low, block.first - transition.within)
    return low, high


def _settled(rule: CorrelationLogic, chain: list[_Block]) -> float:
    """Return the time from which no signal can contradict a chain, in seconds since 1970."""
    ends = [chain[-1].last]
    ends += [_forbidden(rule, chain, step)[1] for step in rule.steps if step.absent]
    if any(block.step.max_count is not None for block in chain):
        ends.append(chain[0].first + rule.lookback)
    return max(ends)
