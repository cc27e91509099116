"""Sequences: steps one after the other within the lookback.

Readings where the documentation is silent (low confidence): a transition's time runs from the last
signal of the earlier step to the first of the later one; a step with MaxMatchCount is held to it
over all its signals within the lookback of the match; an absent step at the end is waited for.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from local_panther.content.correlation import CorrelationLogic, Step
from local_panther.correlation.group import between
from local_panther.correlation.signals import StepSignal

Signals = Mapping[str, Sequence[StepSignal]]


@dataclass(frozen=True)
class _Block:
    """The signals that one step of a chain takes: a run of consecutive ones."""

    step: Step
    signals: Sequence[StepSignal]

    @property
    def first(self) -> float:
        return self.signals[0].time

    @property
    def last(self) -> float:
        return self.signals[-1].time


def sequence_match(
    rule: CorrelationLogic, signals: Signals, since: float = -math.inf
) -> tuple[dict[str, Sequence[StepSignal]], float] | None:
    """Find a chain of signals that satisfies a Sequence.

    Equal times count as in order, and time limits are inclusive.

    Args:
        rule: A Sequence.
        signals: By step ID, in order of time, bound to one value.
        since: Earliest time of the first signal, in seconds since 1970.

    Returns:
        The signals that take part by step ID, and the time from when on the match stands.
    """
    present = [step for step in rule.steps if not step.absent]
    if any(len(signals[step.id]) < step.min_count for step in present):
        return None
    chain = _search(_Search(rule, present, signals, since, set()), [])
    if chain is None:
        return None
    return {block.step.id: block.signals for block in chain}, _settled(rule, chain)


@dataclass(frozen=True)
class _Search:
    """What stays the same while a chain is looked for, and the states that lead nowhere."""

    rule: CorrelationLogic
    present: list[Step]
    signals: Signals
    since: float
    dead_ends: set[tuple[object, ...]]


def _search(search: _Search, chain: list[_Block]) -> list[_Block] | None:
    """Extend a chain to all the present steps, depth first; None where it cannot be."""
    rule, signals = search.rule, search.signals
    if len(chain) == len(search.present):
        complete = _keeps_maxima(rule, chain, signals) and not _is_broken(rule, chain, signals)
        return chain if complete else None
    if _is_broken(rule, chain, signals, inside_only=True):
        return None
    state = _state(rule, chain)
    if state in search.dead_ends:
        return None
    for block in _blocks(search, chain):
        if found := _search(search, [*chain, block]):
            return found
    search.dead_ends.add(state)
    return None


def _state(rule: CorrelationLogic, chain: list[_Block]) -> tuple[object, ...]:
    """Return all that the rest of a search depends on: chains alike in it end alike.

    The first signal bounds the lookback, the last block the next one, and any block may bound a
    later one by a transition or an absent step of its own.
    """
    if not chain:
        return ()
    bounding = {step for t in rule.transitions for step in (t.source, t.target)}
    bounds = tuple((b.first, b.last) for b in chain[:-1] if b.step.id in bounding)
    return len(chain), chain[0].first, chain[-1].first, chain[-1].last, bounds


def _blocks(search: _Search, chain: list[_Block]) -> Iterator[_Block]:
    """Yield the runs of signals that can continue a chain.

    A step that needs one signal takes one. A step that needs more takes all from a first to a last
    one; after another step it begins with the first signal that comes after it, for a later
    beginning could satisfy no limit that this one does not: none but that of an absent step, which
    reaches back from it.
    """
    rule, step = search.rule, search.present[len(chain)]
    signals = search.signals[step.id]
    latest = min((_latest(rule, block, step) for block in chain), default=math.inf)
    possible = between(signals, chain[-1].last if chain else search.since, latest)
    first = signals.index(possible[0]) if possible else 0
    starts = list(range(first, first + len(possible)))
    absent = {other.id for other in rule.steps if other.absent}
    reaches_back = any(t.target == step.id and t.source in absent for t in rule.transitions)
    if chain and step.min_count > 1 and not reaches_back:
        starts = starts[:1]
    end_limit = chain[0].first + rule.lookback if chain else math.inf
    for start in reversed(starts) if rule.newest_first else starts:
        last_end = start + 1 if step.min_count == 1 else len(signals)
        for end in range(start + step.min_count, last_end + 1):
            last = signals[end - 1].time
            if last > end_limit or last - signals[start].time > rule.lookback:
                break
            yield _Block(step, signals[start:end])


def _latest(rule: CorrelationLogic, block: _Block, step: Step) -> float:
    pair = (block.step.id, step.id)
    limits = [t.within for t in rule.transitions if (t.source, t.target) == pair]
    return block.last + min([w for w in limits if w is not None], default=rule.lookback)


def _keeps_maxima(rule: CorrelationLogic, chain: list[_Block], signals: Signals) -> bool:
    low, high = chain[-1].last - rule.lookback, chain[0].first + rule.lookback
    return all(
        block.step.max_count is None
        or len(between(signals[block.step.id], low, high)) <= block.step.max_count
        for block in chain
    )


def _is_broken(
    rule: CorrelationLogic, chain: list[_Block], signals: Signals, *, inside_only: bool = False
) -> bool:
    """Return whether a signal of an absent step lies where there must be none.

    Args:
        rule: The rule that the chain is for.
        chain: The steps so far.
        signals: By step ID, in order of time.
        inside_only: Look only at absent steps between two steps of the chain, and where no step
            that is still to come can narrow the time in which there must be none.
    """
    placed = {block.step.id for block in chain}
    for step in rule.steps:
        if not step.absent:
            continue
        before, after = _neighbours(rule, chain, step)
        narrows = any(t.source == step.id and t.target not in placed for t in rule.transitions)
        if inside_only and (narrows or not (before and after)):
            continue
        if between(signals[step.id], *_forbidden(rule, chain, step)):
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
    """Return the times within which an absent step breaks a chain, both inclusive."""
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
    ends = [chain[-1].last]
    if rule.steps[-1].absent:
        ends += [_forbidden(rule, chain, step)[1] for step in rule.steps if step.absent]
    return max(ends)
