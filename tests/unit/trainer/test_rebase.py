"""Is local work neither lost nor counted twice, whatever the network does with it? (R16, R17, S4)"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from comind.node.trainer.rebase import (
    Adoption,
    Copy,
    Flat,
    FromBase,
    FromSent,
    Interval,
    Pair,
    Progress,
    Stay,
    rebase,
    restore,
)

RUN, OTHER = b"r" * 16, b"o" * 16
FIRST, SECOND, THIRD = b"1" * 32, b"2" * 32, b"3" * 32
NOTHING = Pair(b"", 0)


def begun(base: bytes = FIRST, counted: Pair = NOTHING) -> Progress:
    return Progress(RUN).adopt(base, counted).progress


def trained(progress: Progress, steps: int = 1, examples: int = 10) -> Progress:
    for _ in range(steps):
        progress = progress.trained(examples)
    return progress


def offered(progress: Progress, max_carry: int = 10, last_stands: bool = True) -> Progress:
    return progress.close(max_carry).offer(last_stands)


# -- the weights --------------------------------------------------------------------------------------------


def flat(*values: float) -> Flat:
    return np.array(values, np.float32)


def test_weights_that_are_bitwise_what_was_sent_become_the_base() -> None:
    sent = flat(0.1, -0.0, 3e-41, 1e30)
    weights, base = sent.copy(), flat(0.7, 0.3, -1e-41, -1e-30)
    rebase(weights, base, since=sent)
    assert weights.tobytes() == base.tobytes()


def test_what_was_trained_since_is_added_to_the_base() -> None:
    weights = flat(1.5, 2.0)
    rebase(weights, base=flat(10.0, 20.0), since=flat(1.0, 2.0))
    assert weights.tolist() == [10.5, 20.0]


def test_a_frozen_value_becomes_exactly_the_base_s_beside_trained_ones() -> None:
    since = np.full(1000, 0.1, np.float32)
    weights, base = since.copy(), np.full(1000, 1e6 + 0.3, np.float32)
    weights[0] += 1
    rebase(weights, base, since)
    assert weights[1:].tobytes() == base[1:].tobytes()


@pytest.mark.parametrize("size", [1, (1 << 18) - 1, 1 << 18, (1 << 18) + 1])
def test_every_value_is_moved_at_the_slices_edges(size: int) -> None:
    generator = np.random.default_rng(size)
    weights, base, since = (generator.standard_normal(size, np.float32) for _ in range(3))
    expected = weights + (base - since)
    rebase(weights, base, since)
    assert np.array_equal(weights, expected)


def test_the_base_and_what_was_sent_stay_as_they_are() -> None:
    weights, base, since = flat(1.0), flat(2.0), flat(3.0)
    rebase(weights, base, since)
    assert (base.tolist(), since.tolist()) == ([2.0], [3.0])


# -- the steps ----------------------------------------------------------------------------------------------


def test_the_first_base_is_adopted_whole() -> None:
    adoption = Progress(RUN).adopt(FIRST, NOTHING)
    assert adoption.move == Copy()
    assert adoption.progress.base == FIRST


def test_a_contribution_stands_for_the_steps_and_examples_since_the_last_counted() -> None:
    progress = trained(begun(), steps=3).close()
    claim = progress.claim()
    assert (claim.first_step, claim.last_step, claim.base, claim.examples) == (0, 3, FIRST, 30)


def test_a_counted_contribution_leaves_what_was_trained_since() -> None:
    progress = trained(offered(trained(begun(), steps=3)), steps=2, examples=7)
    adoption = progress.adopt(SECOND, Pair(RUN, 3))
    assert adoption.counted
    assert adoption.move == FromSent(3)
    assert (adoption.progress.first_step, adoption.progress.step) == (3, 5)
    assert adoption.progress.uncounted_examples == 14


def test_an_uncounted_contribution_is_carried_over() -> None:
    progress = offered(trained(begun(), steps=3))
    adoption = progress.adopt(SECOND, NOTHING)
    assert not adoption.counted
    assert adoption.move == FromBase()
    later = trained(adoption.progress, steps=2, examples=7).close()
    assert (later.claim().first_step, later.claim().last_step, later.claim().examples) == (0, 5, 44)


def test_examples_of_more_than_max_carry_intervals_before_are_dropped_but_their_steps_are_not() -> None:
    progress = begun()
    for examples in range(1, 7):
        progress = offered(trained(progress, examples=examples), max_carry=2)
    assert progress.intervals == (Interval(4, 4), Interval(5, 5), Interval(6, 6))
    assert (progress.claim().first_step, progress.claim().examples) == (0, 15)


def test_an_interval_without_a_step_is_none() -> None:
    progress = trained(begun()).close()
    assert progress.close() == progress


def test_news_of_the_same_base_moves_nothing() -> None:
    progress = offered(trained(begun()))
    adoption = progress.adopt(FIRST, NOTHING)
    assert adoption.move == Stay()
    assert adoption.progress == progress


def test_who_trained_nothing_becomes_the_base() -> None:
    assert begun().adopt(SECOND, NOTHING).move == Copy()


def test_an_average_that_equals_the_base_counts_all_the_same() -> None:
    adoption = offered(trained(begun())).adopt(FIRST, Pair(RUN, 1))
    assert adoption.counted
    assert adoption.progress.uncounted_steps == 0


def test_what_was_counted_by_news_that_were_skipped_is_known_from_the_newest() -> None:
    progress = offered(trained(begun()))
    adoption = progress.adopt(THIRD, Pair(RUN, 1))  # two averages later
    assert adoption.move == FromSent(1)


def steps_in_mind(progress: Progress) -> list[int]:
    return [one.last_step for one in progress.sent]


def test_an_offer_that_stands_may_be_counted_after_others_replaced_it() -> None:
    progress = trained(offered(trained(begun())))
    for _ in range(4):
        progress = trained(offered(progress, last_stands=progress.step == 2))
    assert steps_in_mind(progress) == [1, 5]
    adoption = progress.adopt(SECOND, Pair(RUN, 1))
    assert adoption.move == FromSent(1)
    assert adoption.progress.uncounted_examples == 50


def test_few_offers_are_kept_in_mind() -> None:
    progress = begun()
    for _ in range(9):
        progress = offered(trained(progress))
    assert steps_in_mind(progress) == [7, 8, 9]


def test_an_offer_that_is_made_again_is_kept_once() -> None:
    progress = offered(trained(begun()))
    assert steps_in_mind(offered(progress)) == [1]


def test_of_a_counted_offer_that_is_not_in_mind_any_more_nothing_is_repeated() -> None:
    progress = begun()
    for _ in range(4):
        progress = offered(trained(progress), last_stands=False)
    adoption = trained(progress).adopt(SECOND, Pair(RUN, 2))
    assert adoption.move == FromSent(4)
    assert (adoption.progress.first_step, adoption.progress.uncounted_examples) == (4, 10)


def test_a_counted_step_after_every_offer_drops_the_work() -> None:
    adoption = trained(begun(), steps=3).adopt(SECOND, Pair(RUN, 3))
    assert isinstance(adoption.move, Copy)
    assert (adoption.progress.uncounted_steps, adoption.progress.step) == (0, 3)


def test_another_run_of_this_node_that_is_counted_says_nothing_of_this_one() -> None:
    adoption = offered(trained(begun())).adopt(SECOND, Pair(OTHER, 9))
    assert adoption.move == FromBase()
    assert adoption.progress.uncounted_examples == 10


def test_a_network_with_another_history_is_adopted_whole() -> None:
    adoption = trained(begun()).forget_base().adopt(SECOND, NOTHING)
    assert isinstance(adoption.move, Copy)
    assert adoption.progress.uncounted_steps == 0


# -- a checkpoint -------------------------------------------------------------------------------------------


def restored(saved: Progress, base: bytes, counted: Pair) -> Adoption:
    now = Progress(OTHER).adopt(base, counted).progress
    return restore(saved, now)


def test_a_checkpoint_since_which_nothing_was_counted_keeps_its_work() -> None:
    adoption = restored(trained(begun(), steps=3), SECOND, NOTHING)
    assert adoption.move == FromBase()
    assert adoption.progress.run == OTHER
    assert (adoption.progress.uncounted_steps, adoption.progress.uncounted_examples) == (3, 30)


def test_a_checkpoint_whose_offer_was_counted_keeps_the_rest() -> None:
    saved = trained(offered(trained(begun(), steps=3)), steps=2, examples=7)
    adoption = restored(saved, SECOND, Pair(RUN, 3))
    assert adoption.move == FromSent(3)
    assert (adoption.progress.uncounted_steps, adoption.progress.uncounted_examples) == (2, 14)


@pytest.mark.parametrize("counted", [3, 4, 9])
def test_a_checkpoint_of_a_counted_step_or_an_earlier_one_drops_its_work_and_runs_anew(counted: int) -> None:
    adoption = restored(trained(begun(), steps=3), SECOND, Pair(RUN, counted))
    assert isinstance(adoption.move, Copy)
    assert adoption.progress.run == OTHER
    assert adoption.progress.uncounted_steps == 0


def test_a_checkpoint_is_dropped_when_another_run_was_counted_since() -> None:
    saved = trained(begun(counted=Pair(RUN, 3)), steps=3)
    assert isinstance(restored(saved, SECOND, Pair(b"x" * 16, 1)).move, Copy)


def test_work_from_a_checkpoint_is_dropped_when_the_process_before_is_counted_late() -> None:
    progress = restored(trained(begun(), steps=3), FIRST, NOTHING).progress
    assert isinstance(progress.adopt(SECOND, Pair(RUN, 3)).move, Copy)


def test_work_from_a_checkpoint_is_this_run_s_own_once_it_was_counted() -> None:
    progress = offered(trained(restored(trained(begun()), FIRST, NOTHING).progress))
    progress = trained(progress.adopt(SECOND, Pair(OTHER, 2)).progress)
    assert progress.adopt(THIRD, Pair(b"x" * 16, 1)).move == FromBase()


def test_a_run_that_goes_back_to_its_own_checkpoint_tells_no_step_twice() -> None:
    saved = trained(begun())
    now = offered(trained(saved, steps=4))
    progress = restore(saved, now).progress
    assert (progress.first_step, progress.step, progress.uncounted_examples) == (5, 6, 10)
    assert isinstance(progress.adopt(SECOND, Pair(RUN, 5)).move, Copy)


# -- all of it together -------------------------------------------------------------------------------------

Work = Counter[int]
"""A model as the steps that it holds, each once: what is moved by additions, as weights are."""


def moved(weights: Work, base: Work, since: Work) -> Work:
    result = Counter(weights)
    result.update(base)
    result.subtract(since)
    return Counter({step: times for step, times in result.items() if times})


@dataclass
class Process:
    """A trainer, and what a perfect bookkeeper knows of its weights."""

    progress: Progress
    weights: Work
    base: Work
    sent: dict[int, Work] = field(default_factory=dict)
    intervals: list[list[int]] = field(default_factory=lambda: [[]])
    """The steps of each interval, the running one last."""

    def copy(self) -> "Process":
        return Process(
            self.progress,
            Counter(self.weights),
            Counter(self.base),
            dict(self.sent),
            [list(one) for one in self.intervals],
        )


@dataclass(frozen=True)
class Header:
    pair: Pair
    first_step: int
    root: bytes
    weights: Work = field(hash=False)
    weight: int


MAX_CARRY = 2


class Life(RuleBasedStateMachine):
    """Trainers of one node live, save, die and come back, while a chain counts now this offer, now that."""

    def __init__(self) -> None:
        super().__init__()
        self.base: Work = Counter()
        self.height = 0
        self.counted = NOTHING
        self.run_ends: dict[bytes, int] = {}
        self.headers: list[Header] = []
        self.examples: dict[int, int] = {}
        self.checkpoints: list[Process] = []
        self.runs = 0
        self.process = self.new_process()

    @property
    def root(self) -> bytes:
        return self.height.to_bytes(32, "big")

    def new_process(self) -> Process:
        self.runs += 1
        progress = Progress(self.runs.to_bytes(16, "big")).adopt(self.root, self.counted).progress
        return Process(progress, Counter(self.base), Counter(self.base))

    @rule(examples=st.integers(1, 5))
    def train(self, examples: int) -> None:
        step = len(self.examples)
        self.examples[step] = examples
        self.process.weights[step] += 1
        self.process.intervals[-1].append(step)
        self.process.progress = self.process.progress.trained(examples)

    @precondition(lambda self: self.process.progress.uncounted_steps)
    @rule(last_stands=st.booleans())
    def offer(self, last_stands: bool) -> None:
        process = self.process
        process.progress = process.progress.close(MAX_CARRY)
        if process.intervals[-1]:
            process.intervals.append([])
        claim = process.progress.claim()
        process.progress = process.progress.offer(last_stands)
        process.sent[claim.last_step] = Counter(process.weights)
        pair = Pair(process.progress.run, claim.last_step)
        work = Counter(process.weights)
        self.headers.append(Header(pair, claim.first_step, claim.base, work, claim.examples))
        kept = [one for one in process.intervals if one][-1 - MAX_CARRY :]
        assert claim.examples == sum(self.examples[step] for interval in kept for step in interval)

    @property
    def valid(self) -> list[Header]:
        mine = [one for one in self.headers if one.root == self.root]
        return [one for one in mine if one.first_step >= self.run_ends.get(one.pair.run, 0)]

    @precondition(lambda self: self.valid)
    @rule(data=st.data())
    def count(self, data: st.DataObject) -> None:
        """A block counts any valid header: the newest or an older one, of this process or of a dead one."""
        header = data.draw(st.sampled_from(self.valid))
        self.base = moved(self.base, header.weights, self.base)
        self.commit()
        self.counted = header.pair
        self.run_ends[header.pair.run] = header.pair.last_step

    @precondition(lambda self: self.process.progress.step % 2)
    @rule()
    def miss(self) -> None:
        self.commit()

    def commit(self) -> None:
        """Others contribute, too."""
        step = len(self.examples)
        self.examples[step] = 1
        self.base = Counter(self.base)
        self.base[step] += 1
        self.height += 1

    @rule()
    def hear(self) -> None:
        process = self.process
        before = process.progress
        adoption = before.adopt(self.root, self.counted)
        mine = self.counted != before.counted and self.counted.run == before.run
        if mine and self.counted.last_step in {one.last_step for one in before.sent}:
            assert adoption.move == FromSent(self.counted.last_step)
        elif self.counted == before.counted or not (mine or before.inherited):
            assert isinstance(adoption.move, Stay | FromBase) or not before.uncounted_steps
        self.apply(adoption, process.base, process.sent)

    def apply(self, adoption: Adoption, old: Work, sent: dict[int, Work]) -> None:
        process = self.process
        match adoption.move:
            case Stay():
                pass
            case Copy():
                process.weights = Counter(self.base)
            case FromBase():
                process.weights = moved(process.weights, self.base, old)
            case FromSent(last_step):
                process.weights = moved(process.weights, self.base, sent[last_step])
        process.progress = adoption.progress
        process.base = Counter(self.base)
        process.sent = {one.last_step: process.sent[one.last_step] for one in process.progress.sent}
        held = set(process.weights) - set(self.base)
        left = [[step for step in one if step in held] for one in process.intervals]
        running = [] if isinstance(adoption.move, Copy) else left.pop()
        process.intervals = [one for one in left if one] + [running]

    @rule()
    def save(self) -> None:
        self.checkpoints.append(self.process.copy())

    @rule()
    def die_and_begin(self) -> None:
        self.process = self.new_process()

    @precondition(lambda self: self.checkpoints)
    @rule(data=st.data(), in_a_new_process=st.booleans())
    def restore(self, data: st.DataObject, in_a_new_process: bool) -> None:
        saved = data.draw(st.sampled_from(self.checkpoints)).copy()
        if in_a_new_process:
            self.process = self.new_process()
        else:
            self.hear()
        now = self.process.progress
        adoption = restore(saved.progress, now)
        offers = {Pair(saved.progress.run, one.last_step) for one in saved.progress.sent}
        if self.counted == saved.progress.counted or self.counted in offers:
            kept = [step for step in saved.weights if step not in saved.base and step not in self.base]
            assert adoption.progress.uncounted_steps == len(kept)
        assert adoption.progress.run == now.run
        assert adoption.progress.first_step >= now.step
        self.process = Process(now, saved.weights, Counter(self.base), {}, saved.intervals)
        self.apply(adoption, saved.base, saved.sent)

    @invariant()
    def no_step_is_counted_twice(self) -> None:
        assert all(times == 1 for times in self.base.values())

    @invariant()
    def weights_are_their_base_and_the_uncounted_steps_each_once(self) -> None:
        process = self.process
        assert all(times == 1 for times in process.weights.values())
        extra = Counter(process.weights)
        extra.subtract(process.base)
        work = [step for step, times in extra.items() if times]
        assert all(extra[step] == 1 for step in work)
        assert len(work) == process.progress.uncounted_steps

    @invariant()
    def examples_are_those_of_the_uncounted_steps_or_fewer(self) -> None:
        steps = [step for interval in self.process.intervals for step in interval]
        assert self.process.progress.uncounted_examples <= sum(self.examples[step] for step in steps)


Life.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
test_in_any_life_no_step_is_lost_or_counted_twice = Life.TestCase


@given(st.lists(st.integers(0, 2), max_size=30), st.integers(0, 3))
def test_no_more_than_max_carry_intervals_are_carried(course: list[int], max_carry: int) -> None:
    progress = begun()
    for steps in course:
        progress = trained(progress, steps).close(max_carry)
        assert len(progress.intervals) <= max_carry + 1
