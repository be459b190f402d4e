"""How long does the shell wait, and how much does it take on?

Fixed by this node alone: no bound is one that a peer sets. Tests make some of them small.
"""

from dataclasses import dataclass

from comind.p2p.shell.sockets import MAX_FRAME_BYTES, RECEIVE_HIGH_WATER


@dataclass(frozen=True, slots=True)
class Limits:
    greeting_ms: int = 6_000
    """From when a connection was accepted to its finished greeting: so long may a stranger hold it."""
    dial_ms: int = 8_000
    """From the start of a dial to its finished greeting."""
    strangers: int = 256
    """Connections that have not greeted yet; when there are more, the oldest goes."""
    links_of_one: int = 4
    """Connections of one peer that have greeted; an honest one closes all but one at once."""
    messages_at_once: int = 256
    bytes_at_once: int = 16 << 20
    """Read of one socket before others have their turn."""
    queued_bytes: int = 96 << 20
    queued_messages: int = 4_096
    """Of one link, beyond what ZeroMQ holds. Whoever lets more pile up reads too slowly."""
    unread_bytes: int = RECEIVE_HIGH_WATER * MAX_FRAME_BYTES + (64 << 20)
    """Of one connection, between TCP and this node: whole messages, and one that has not ended."""
    merge_ms: int = 1_000
    """Until an own dial that gave way to another connection is closed: what was said on it may be due."""
    sweep_ms: int = 500
    retry_ms: int = 2
    """Until what had no room is sent again."""
    linger_ms: int = 300
    """What was said last gets so long to get out when a connection is closed in good order."""
    first_redial_ms: int = 50
    last_redial_ms: int = 5_000
    """The pause between dials doubles from the one to the other, with jitter."""
    stable_ms: int = 10_000
    """A link that lived so long was none that breaks at once: redialling starts anew from the first pause."""
