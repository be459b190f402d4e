"""What befalls whom, and when? The ledger is told what daemons would tell; no process is started."""

from scripts.local.faults import PARTED_S, STALLED_S, Deed, Fault, Faults, Kill, Kind, Start
from scripts.local.flags import At, Partition, Pause, Plan
from scripts.local.ledger import Ledger
from scripts.local.reports import Interval
from tests.unit.local_network.ledgers import NAMES, average, status


class Stage:
    """Three nodes, and somebody who does what is due."""

    def __init__(self, plan: Plan) -> None:
        self.ledger = Ledger(plan.names, plan.rounds)
        self.faults = Faults(plan, self.ledger)
        self.now_s = 0.0
        self.over: list[Fault] = []

    def hear(self, round: int, phase: str = "idle", contributors: tuple[str, ...] = NAMES) -> None:
        """Everyone who lives tells that it holds this average."""
        lines = tuple(average(each, "Oslo", contributors) for each in range(max(1, round - 2), round + 1))
        down = {fault.node for fault in self.faults.down()}
        for name in NAMES:
            if name not in down:
                self.ledger.hear_report(name, Interval(round, True, "", 0.1, 0.9, 100 * round))
                for new in self.ledger.hear_status(name, status(name, round, lines, phase=phase), self.now_s):
                    self.over += self.faults.averaged(new)

    def act(self) -> list[Deed]:
        done = []
        for deed in self.faults.due(self.now_s):
            done.append(deed)
            if isinstance(deed, Kill):
                self.faults.killed(deed, self.now_s)
                if deed.kind in (Kind.KILL, Kind.KILL_CHIEF):
                    self.ledger.ended(deed.node)
            else:
                self.faults.started(deed, self.now_s)
        return done


def test_the_chief_is_killed_in_mid_round_and_started_three_averages_later() -> None:
    stage = Stage(Plan(nodes=3, kill_chief_at=(5,)))
    stage.hear(3, "gathering")
    assert stage.act() == []
    stage.hear(4)
    assert stage.act() == []  # between rounds
    stage.hear(4, "averaging")
    assert stage.act() == [Kill(Kind.KILL_CHIEF, "Oslo", "averaging")]
    for round in (5, 6):
        stage.hear(round)
        assert stage.act() == []
    stage.hear(7)
    (start,) = stage.act()
    assert isinstance(start, Start)
    assert start.node == "Oslo"
    assert stage.act() == []
    assert stage.faults.open == []


def test_recovery_is_the_time_from_the_kill_to_the_next_average() -> None:
    stage = Stage(Plan(nodes=3, kills=(At(2, 2),)))
    stage.hear(1, "gathering")
    stage.now_s = 10.0
    assert stage.act() == [Kill(Kind.KILL, "Nairobi", "gathering")]
    stage.now_s = 10.5
    stage.hear(2)
    assert [(fault.node, fault.round, fault.recovery_s) for fault in stage.over] == [("Nairobi", 2, 0.5)]


def test_a_late_node_starts_when_its_round_is_next_and_has_come_when_it_is_counted() -> None:
    stage = Stage(Plan(nodes=3, late=(At(2, 4),)))
    there = NAMES[:2]
    stage.hear(2, contributors=there)
    assert stage.act() == []
    stage.now_s = 1.0
    stage.hear(3, contributors=there)
    (start,) = stage.act()
    assert (start.kind, start.node) == (Kind.LATE, "Nairobi")
    stage.hear(4, contributors=there)
    assert stage.over == []
    stage.now_s = 3.0
    stage.hear(5)
    assert [(fault.kind, fault.recovery_s) for fault in stage.over] == [(Kind.LATE, 2.0)]


def test_whoever_is_needed_for_a_quorum_is_started_again_without_three_averages() -> None:
    stage = Stage(Plan(nodes=3, kills=(At(0, 2),)))
    stage.hear(1, "voting")
    stage.act()
    stage.now_s = STALLED_S
    assert stage.act() == []
    stage.now_s = STALLED_S + 1
    assert [deed.node for deed in stage.act()] == ["Lisbon"]


def test_whoever_is_dead_when_all_averages_are_made_is_started_again() -> None:
    stage = Stage(Plan(nodes=3, rounds=6, kills=(At(0, 6),)))
    stage.hear(5, "voting")
    stage.act()
    stage.hear(6)
    assert [deed.node for deed in stage.act()] == ["Lisbon"]


def test_what_did_not_come_about_is_told() -> None:
    stage = Stage(
        Plan(nodes=3, rounds=6, kill_chief_at=(2,), kills=(At(1, 3),), late=(At(2, 6),), random_kills=4)
    )
    assert stage.faults.open == [
        "the chief of round 2 was not killed",
        "Oslo was not killed in round 3",
        "Nairobi was not started for round 6",
        "4 random kills did not come about",
    ]


def test_random_kills_come_one_by_one_when_everyone_is_counted_again() -> None:
    stage = Stage(Plan(nodes=3, rounds=100, random_kills=2))
    kills = 0
    for round in range(1, 30):
        stage.now_s += 1.0
        dead = {fault.node for fault in stage.faults.down()}
        assert len(dead) <= 1
        stage.hear(round, "gathering", tuple(name for name in NAMES if name not in dead))
        kills += sum(isinstance(deed, Kill) for deed in stage.act())
    assert kills == 2
    assert stage.faults.open == []


def test_a_trainer_is_killed_and_started_three_averages_later() -> None:
    stage = Stage(Plan(nodes=3, trainer_kills=(At(1, 3),)))
    stage.hear(1, "gathering")
    assert stage.act() == []
    stage.hear(2, "voting")
    assert stage.act() == [Kill(Kind.KILL_TRAINER, "Oslo", "voting")]
    stage.hear(4)
    assert stage.act() == []
    stage.hear(5)
    assert stage.act() == [Start(Kind.KILL_TRAINER, "Oslo", "3 averages were made without it")]
    assert [fault.recovery_s for fault in stage.faults.told] == [0.0]


def test_a_pause_ends_by_the_clock_and_is_got_over_with_the_next_average() -> None:
    stage = Stage(Plan(nodes=3, pauses=(Pause(2, 2, 4.0),)))
    stage.hear(1, "averaging")
    assert stage.act() == [Kill(Kind.PAUSE, "Nairobi", "averaging", lasts_s=4.0)]
    stage.now_s = 3.0
    stage.hear(9)
    assert stage.act() == []
    stage.now_s = 4.0
    assert stage.act() == [Start(Kind.PAUSE, "Nairobi", "4 s are over")]
    assert [fault.recovery_s for fault in stage.faults.told] == [3.0]


def test_a_node_that_is_killed_while_it_is_paused_is_started_for_the_kill() -> None:
    stage = Stage(Plan(nodes=3, pauses=(Pause(2, 2, 4.0),), kills=(At(2, 3),)))
    stage.hear(1, "averaging")
    stage.act()
    stage.hear(2, "averaging")
    stage.act()
    stage.now_s = 4.0
    assert stage.act() == [Start(Kind.PAUSE, "Nairobi", "4 s are over")]
    assert [(fault.kind, fault.down) for fault in stage.faults.told] == [
        (Kind.PAUSE, False),
        (Kind.KILL, True),
    ]


def test_links_are_cut_until_the_average_that_was_asked_for_and_all_are_counted_again() -> None:
    stage = Stage(Plan(nodes=3, partitions=(Partition(((0, 1), (2,)), 3, 5),)))
    stage.hear(2, "gathering")
    assert stage.act() == [Kill(Kind.PARTITION, "Lisbon,Oslo|Nairobi", "gathering", last_round=5)]
    stage.now_s = 1.0
    stage.hear(4, contributors=NAMES[:2])
    assert stage.act() == []
    stage.hear(5, contributors=NAMES[:2])
    assert stage.act() == [Start(Kind.PARTITION, "Lisbon,Oslo|Nairobi", "average 5 is made")]
    stage.now_s = 1.5
    stage.hear(6, contributors=NAMES[:2])
    assert stage.over == []
    stage.now_s = 2.0
    stage.hear(7)
    assert [(fault.recovery_s, fault.round, fault.last_round) for fault in stage.over] == [(1.0, 3, 5)]


def test_a_partition_in_which_no_side_can_average_ends() -> None:
    stage = Stage(Plan(nodes=3, partitions=(Partition(((0,), (1,), (2,)), 3, 5),)))
    stage.hear(2, "gathering")
    stage.act()
    stage.now_s = PARTED_S
    assert stage.act() == []
    stage.now_s = PARTED_S + 0.1
    assert stage.act() == [Start(Kind.PARTITION, "Lisbon|Oslo|Nairobi", "no average came for 20 s")]
