"""What can be asked for? Bad flags are one line, and exit code 2."""

from pathlib import Path

import pytest

from scripts.local.flags import At, Partition, Pause, read
from scripts.local.split import Dirichlet, Iid


def test_without_flags_there_are_five_nodes_and_thirty_rounds() -> None:
    plan = read([])
    assert (plan.nodes, plan.rounds, plan.split, plan.trainer) == (5, 30, Iid(), "torch")
    assert plan.names == ("Lisbon", "Oslo", "Nairobi", "Lima", "Kyoto")
    assert plan.start_at == 5


def test_everything_can_be_asked_for(tmp_path: Path) -> None:
    plan = read(
        "--nodes 4 --rounds 12 --interval-steps 7 --split dirichlet:0.3 --random-seed 9 --fold 4"
        " --trainer numpy --late lima:5 --kill Oslo:7 --kill-chief-at 8 --kill-chief-at 3 --pace 0.1 --keep"
        f" --json {tmp_path}/a.json --picture {tmp_path}/a.png".split()
    )
    assert (plan.split, plan.interval_steps, plan.fold) == (Dirichlet(0.3), 7, 4)
    assert plan.late == (At(3, 5),)
    assert plan.kills == (At(1, 7),)
    assert plan.kill_chief_at == (3, 8)
    assert plan.start_at == 3


def test_trainers_die_nodes_stand_still_and_links_are_cut() -> None:
    flags = "--kill-trainer oslo:4 --pause 3:5:2.5"
    links = "--partition 1,Oslo|3,4,kyoto@8-11 --partition 1|2|3,4,5@12-12"
    plan = read(f"{flags} {links}".split())
    assert plan.trainer_kills == (At(1, 4),)
    assert plan.pauses == (Pause(2, 5, 2.5),)
    assert plan.partitions == (
        Partition(((0, 1), (2, 3, 4)), 8, 11),
        Partition(((0,), (1,), (2, 3, 4)), 12, 12),
    )


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ("--kill-trainer Paris:3", "argument --kill-trainer: there is no node 'Paris'"),
        ("--kill-trainer 2:3 --kill-trainer 2:3", "the same one is killed twice in one round"),
        ("--late 2:5 --kill-trainer 2:5", "argument --kill-trainer: Oslo is not there yet in round 5"),
        ("--pause 2:3", "argument --pause: '2:3' is no NODE:ROUND:SECONDS, as in 2:10:5"),
        ("--pause 2:3:soon", "argument --pause: '2:3:soon' is no NODE:ROUND:SECONDS, as in 2:10:5"),
        ("--pause 2:3:0", "argument --pause: '2:3:0' is no NODE:ROUND:SECONDS, as in 2:10:5"),
        ("--pause 2:31:1", "argument --pause: there is no round 31; there are 1 to 30"),
        ("--pause 2:3:1 --pause 2:3:2", "argument --pause: the same node is paused twice in one round"),
        ("--partition 1,2", "argument --partition: '1,2' is no A|B@ROUND-ROUND, as in 1,2|3,Lima,5@10-14"),
        ("--partition 1,2@3-4", "argument --partition: '1,2@3-4' is no A|B@ROUND-ROUND"),
        ("--partition 1,2|3,4,6@3-4", "argument --partition: there is no node '6'"),
        ("--partition 1,2|3,4@3-4", "argument --partition: Kyoto is on no side; each node is on one"),
        ("--partition 1,2|2,3,4,5@3-4", "argument --partition: Oslo is on two sides; each node is on one"),
        ("--partition 1|2,3,4,5@4-3", "argument --partition: round 3 is before round 4"),
        ("--partition 1|2,3,4,5@4-31", "argument --partition: there is no round 31; there are 1 to 30"),
        ("--partition 1|2,3,4,5@4-30", "argument --partition: it has to end before the last round, 30"),
        (
            "--partition 1|2,3,4,5@4-8 --partition 2|1,3,4,5@8-9",
            "argument --partition: one begins before the other has ended",
        ),
        ("--nodes 1", "argument --nodes: '1' is no whole number from 2 to 128"),
        ("--nodes many", "argument --nodes: 'many' is no whole number from 2 to 128"),
        ("--rounds 0", "argument --rounds: '0' is no whole number from 1 to 100000"),
        ("--interval-steps 0", "argument --interval-steps: '0' is no whole number from 1 to 1000000"),
        ("--fold 5", "argument --fold: '5' is no whole number from 0 to 4"),
        ("--random-seed -1", "argument --random-seed: '-1' is no whole number from 0 to 4294967295"),
        ("--pace nan", "argument --pace: 'nan' is no number of seconds from 0 to 86400"),
        (
            "--split even",
            "argument --split: 'even' is neither iid nor dirichlet:ALPHA with ALPHA from 0.001 to",
        ),
        ("--split dirichlet:0", "argument --split: 'dirichlet:0' is neither iid nor dirichlet:ALPHA"),
        ("--split dirichlet:nan", "argument --split: 'dirichlet:nan' is neither"),
        ("--trainer jax", "argument --trainer: invalid choice: 'jax'"),
        ("--kill 2", "argument --kill: '2' is no NODE:ROUND, as in 2:10 or Oslo:10"),
        ("--kill Paris:3", "argument --kill: there is no node 'Paris'; there are 1 to 5, Lisbon to Kyoto"),
        ("--kill 6:3", "argument --kill: there is no node '6'; there are 1 to 5, Lisbon to Kyoto"),
        ("--kill 2:31", "argument --kill: there is no round 31; there are 1 to 30"),
        ("--kill 2:3 --kill Oslo:3", "the same one is killed twice in one round"),
        ("--kill-chief-at 31", "argument --kill-chief-at: there is no round 31; there are 1 to 30"),
        ("--late 1:3", "argument --late: Lisbon founds the network, so it cannot be late"),
        ("--late 2:1", "argument --late: whoever is there from round 1 is not late"),
        ("--late 2:3 --late 2:4", "argument --late: a node starts only once"),
        ("--nodes 2 --late 2:3", "argument --late: at least two nodes must start at once"),
        ("--late 2:5 --kill 2:5", "argument --kill: Oslo is not there yet in round 5"),
        ("--json /nowhere/at/all", "argument --json: /nowhere/at/all cannot be written"),
        ("--picture a.gif", "argument --picture: the name of a picture ends in .png, .svg or .pdf"),
        ("--nodez 3", "unrecognized arguments: --nodez 3"),
    ],
)
def test_a_bad_flag_is_one_line(flags: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read(flags.split())
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
