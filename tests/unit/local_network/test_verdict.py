"""Which promises did not hold, and does the runner see it?"""

from scripts.local.faults import Faults, Kill, Kind
from scripts.local.flags import Plan
from scripts.local.reports import Finished, Interval
from scripts.local.verdict import broken_promises, notes
from tests.unit.local_network.ledgers import average, finished_ledger, root_of, status

PLAN = Plan(nodes=3, rounds=6)


def test_a_run_in_which_all_went_well_broke_nothing() -> None:
    ledger = finished_ledger()
    assert broken_promises(ledger, Faults(PLAN, ledger)) == []
    assert notes(ledger, Faults(PLAN, ledger)) == []


def test_a_trainer_whose_model_is_not_the_last_average_is_found() -> None:
    ledger = finished_ledger()
    ledger.hear_report("Oslo", Finished(0.9, root_of(5), 600))
    assert broken_promises(ledger, Faults(PLAN, ledger)) == [
        "Oslo's trainer holds 000000000000, not the last average 000000000000"
    ]


def test_a_node_that_is_behind_is_found() -> None:
    ledger = finished_ledger()
    ledger.hear_status("Oslo", status("Oslo", 5), 9.0)
    lines = broken_promises(ledger, Faults(PLAN, ledger))
    assert "Oslo ended with average 5 of 6" in lines
    assert any(line.startswith("Oslo's node holds") for line in lines)


def test_two_averages_of_one_round_are_found() -> None:
    ledger = finished_ledger()
    ledger.hear_status("Oslo", status("Oslo", 6, (average(6, "Lisbon", root="f" * 64),)), 9.0)
    (line,) = broken_promises(ledger, Faults(PLAN, ledger))
    assert line.startswith("Oslo holds another average 6 than others do: ffffffffffff at height 7")


def test_an_average_that_nobody_told_of_is_missing() -> None:
    ledger = finished_ledger()
    del ledger.averages[3], ledger.averages[4]
    assert "averages are missing: 3, 4" in broken_promises(ledger, Faults(PLAN, ledger))


def test_examples_that_count_twice_are_found() -> None:
    ledger = finished_ledger()
    ledger.nodes["Oslo"].finished = Finished(0.9, root_of(6), 599)
    (line,) = broken_promises(ledger, Faults(PLAN, ledger))
    assert line == "600 examples of Oslo were counted, but it trained on 599"


def test_the_examples_of_a_trainer_that_was_killed_are_remembered() -> None:
    ledger = finished_ledger()
    told = ledger.nodes["Oslo"]
    told.finished = None
    told.begin_anew()
    ledger.hear_report("Oslo", Interval(6, True, "", 0.1, 0.9, 50))
    assert told.trained == 650


def test_a_node_that_was_never_counted_is_found() -> None:
    ledger = finished_ledger(dead=dict.fromkeys(range(1, 7), "Oslo"))
    assert "Oslo was counted in no average" in broken_promises(ledger, Faults(PLAN, ledger))


def test_a_kill_that_the_network_did_not_get_over_is_found() -> None:
    ledger = finished_ledger(rounds=5)
    ledger.rounds = 6
    faults = Faults(PLAN, ledger)
    faults.killed(Kill(Kind.KILL, "Oslo", "voting"), 5.0)
    assert "the network did not get over kill of Oslo in round 6" in broken_promises(ledger, faults)


def test_unequal_turns_without_a_fault_are_a_note_and_no_failure() -> None:
    ledger = finished_ledger(dead=dict.fromkeys(range(1, 7), "Oslo"))
    (note,) = notes(ledger, Faults(PLAN, ledger))
    assert "Lisbon 3, Oslo 0, Nairobi 3" in note
