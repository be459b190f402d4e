"""What can be asked for? Bad flags are one line, and exit code 2."""

from pathlib import Path

import pytest

from scripts.local.flags import At, read
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


@pytest.mark.parametrize(
    ("flags", "line"),
    [
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
