"""Do the members of one world keep together what each keeps alone? (S1, R13)

What one member promises, says and writes is under the scenarios' oracles already. Here is what takes several:
blocks that differ, and locks of a quorum that another block got past.
"""

from collections import defaultdict
from collections.abc import Sequence

Fact = tuple[object, ...]


def what_is_broken(facts: Sequence[frozenset[Fact]], voters: Sequence[int]) -> str:
    """Say which promise these members, with all that each ever did, have broken together; empty: none."""
    committed: dict[int, set[bytes]] = defaultdict(set)
    locked: dict[tuple[int, int, bytes], set[int]] = defaultdict(set)
    for at, done in enumerate(facts):
        for fact in done:
            match fact:
                case ("committed", int(height), bytes(name)):
                    committed[height].add(name)
                case ("lock", int(height), int(view), bytes(name)):
                    locked[height, view, name].add(at)
    for height, names in committed.items():
        if len(names) > 1:
            return f"S1 is broken: blocks {_list(names)} of height {height} are committed"
    decided = {(height, name) for (height, _, name), by in locked.items() if _decides(by, voters)}
    for height, name in decided:
        others = {other for at, other in decided if at == height} | committed[height]
        if len(others) > 1:
            return f"R13 is broken: a quorum is locked on {name.hex()[:6]}, and {_list(others)} are decided"
    return ""


def _decides(signers: set[int], voters: Sequence[int]) -> bool:
    votes = len(signers.intersection(voters))
    return 2 * votes > len(voters) or (2 * votes == len(voters) and voters[0] in signers)


def _list(names: set[bytes]) -> str:
    return " and ".join(sorted(name.hex()[:6] for name in names))
