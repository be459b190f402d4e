"""Whom does an operator mean by a name or an id?

Knows nothing of what is to become of it.
"""

from comind.crypto.identity import read_id
from comind.p2p.core.picture import Picture
from comind.p2p.core.words import NodeId, full_id, short_id


def who_is_meant(what: str, about: str, picture: Picture) -> NodeId | str | None:
    """Return the node, or the line that says why it is not clear which; None where it is about nobody."""
    if what in ("pause", "resume"):
        return None
    if (node := read_id(about)) is not None:
        return node
    members = {one.node: one.name for one in picture.members if one.state != "joining"}
    known = members if what == "remove" else members | _outsiders(picture)
    found = [node for node, name in known.items() if about in (name, short_id(node))]
    if len(found) == 1:
        return found[0]
    if found:
        ids = " or ".join(full_id(node) for node in found)
        return f"{len(found)} nodes are called {_shown(about)}: say which one by its id, {ids}"
    if what == "remove":
        return f"no member is called {_shown(about)} or has this id: comind status lists them"
    return (
        f"{_shown(about)} is no node's id: take the 52 letters that the node shows while it waits,"
        " or that comind status shows"
    )


def _outsiders(picture: Picture) -> dict[NodeId, str]:
    joining = {one.node: one.name for one in picture.members if one.state == "joining"}
    return {node: "" for node, _ in picture.at_the_door} | joining


def _shown(text: str) -> str:
    return repr(text[:64])
