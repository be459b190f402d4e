"""What does this member owe its trainer, and what does the trainer offer to the next round? (R4, R15-R17)

Knows nothing of other members' trainers, nor of how words reach one's own.
"""

from dataclasses import dataclass
from math import isfinite

from comind.p2p.core.chain import MAX_VALUES, MAX_WEIGHT, schema_hash
from comind.p2p.core.discovery import Discovery
from comind.p2p.core.effects import Adopt, Announced, Begin, CallTrainer, Release, Wait
from comind.p2p.core.here import Here
from comind.p2p.core.messages import Block, Header, Ready, SignedHeader
from comind.p2p.core.signing import sign_header
from comind.p2p.core.wire import read
from comind.p2p.core.words import NO_ROOT, Height, NodeId, Offer, RunId

MAX_METRICS = 16


@dataclass(slots=True)
class Desk:
    """The trainer's side of a member."""

    here: Here
    people: Discovery
    offer: Offer | None = None
    """What it wants counted next; none after a block made its base stale."""
    latest: Offer | None = None
    """The newest offer, stale or not."""
    signed: tuple[Height, SignedHeader, Offer] | None = None
    """The one header of this incarnation for this height (R4), and the offer behind it."""
    told_height: int = -1
    told: Wait | Release | None = None
    begun: bool = False
    called_at: int = -1
    """For which height the trainer was called last."""

    # -- what the trainer does ------------------------------------------------------------------------------

    def attached(self) -> None:
        self.people.trains = True
        self.told_height, self.told, self.begun, self.called_at = -1, None, False, -1
        self.offer = self.latest = None

    def offered(self, offer: Offer) -> None:
        """Take the newest offer; what is signed for this height already stays as it is (S7)."""
        self.latest, self.told = offer, None
        self.offer = offer if offer.base == self.here.chain.root else None

    def left(self) -> None:
        self.people.trains = False
        self.offer = self.latest = self.told = None

    # -- what the round needs -------------------------------------------------------------------------------

    def announce(self, may_average: bool) -> Ready | None:
        """Sign the header of the offer, once for each height, if an average may come of it (R4)."""
        here, offer = self.here, self.offer
        if offer is None or not self.people.trains or not here.is_member or self._signed_now():
            return None
        if not may_average and here.chain.root != NO_ROOT:
            return None
        if self.why_unusable(offer):
            return None
        header = Header(
            height=here.chain.next,
            node=here.me.node,
            incarnation=here.me.incarnation,
            run=offer.run,
            first_step=offer.first_step,
            last_step=offer.last_step,
            base=offer.base,
            schema=offer.schema,
            size=offer.size,
            weight=offer.weight,
            metrics=_tidy(offer.metrics),
        )
        signed = sign_header(here.signer, here.network, header)
        self.signed = (here.chain.next, signed, offer)
        here.do(Announced(offer))
        return Ready(signed, offer.layout if here.chain.root == NO_ROOT else b"")

    def ready(self) -> Ready | None:
        """Return the header of this height, if it was signed."""
        if not self._signed_now():
            return None
        assert self.signed is not None
        layout = self.signed[2].layout if self.here.chain.root == NO_ROOT else b""
        return Ready(self.signed[1], layout)

    def offer_in(self, headers: tuple[SignedHeader, ...]) -> Offer | None:
        """Return the offer behind one's own header, if it is among these."""
        if self._signed_now() and self.signed is not None and self.signed[1] in headers:
            return self.signed[2]
        return None

    def why_unusable(self, offer: Offer) -> str:
        """Say why no header can be made of an offer; empty if one can."""
        chain = self.here.chain
        if offer.base != chain.root:
            return "it was trained from another base"
        if chain.root == NO_ROOT:
            starts = (offer.weight, offer.first_step, offer.last_step) == (
                0,
                0,
                0,
            ) and 0 < offer.size <= MAX_VALUES
            told = bool(offer.layout) and schema_hash(offer.layout) == offer.schema
            return "" if starts and told and 0 < offer.size <= MAX_VALUES else "there is no first base yet"
        if (offer.schema, offer.size) != (chain.schema, chain.size):
            return "its model is not the network's"
        if offer.weight > MAX_WEIGHT:
            return f"it weighs more than {MAX_WEIGHT}"
        if offer.weight <= 0 or offer.last_step <= offer.first_step:
            return "it offers no steps"
        if offer.first_step < chain.runs.get(offer.run, 0):
            return "its steps are counted already"
        return "it weighs more than one" if chain.settings.weight == "equal" and offer.weight != 1 else ""

    # -- what the trainer hears -----------------------------------------------------------------------------

    def settle(self, started: bool) -> None:
        """After every event: tell of a new base and of the beginning; forget an offer with a stale base."""
        chain = self.here.chain
        if self.offer is not None and (self.offer.base != chain.root or self._is_counted()):
            self.offer = None  # an average may have the root that its base had
        if not self.people.trains or chain.root == NO_ROOT or chain.root not in self.here.held:
            return
        if self.told_height != chain.based_at:
            self.told_height, self.told = chain.based_at, None
            self.here.do(self._adopt(started))
            self.begun = self.begun or started
        if started and not self.begun:
            self.begun = True
            self.here.do(Begin())

    def tell(self, word: Wait | Release) -> None:
        """Tell a trainer that waits what for, or that it need not, when that changes.

        It waits with an offer out, and before its first step, from which nothing but `Begin` releases it.
        """
        waits = self.offer is not None or (not self.begun and isinstance(word, Wait))
        if waits and self.people.trains and self.told != word:
            self.told = word
            self.here.do(word)

    def call(self) -> None:
        """R5: let the trainer offer at its next step: once a height, if it has the base and no offer."""
        here = self.here
        trains = self.people.trains and self.begun and self.told_height == here.chain.based_at
        if trains and self.offer is None and not self._signed_now() and self.called_at != here.chain.next:
            self.called_at = here.chain.next
            here.do(CallTrainer())

    def _signed_now(self) -> bool:
        return self.signed is not None and self.signed[0] == self.here.chain.next

    def _adopt(self, started: bool) -> Adopt:
        chain, me = self.here.chain, self.here.me.node
        block = chain.blocks[chain.based_at]
        headers = tuple(read(Header, signed.header) for signed in block.headers)
        counted = chain.counted.get(me)
        return Adopt(
            height=chain.based_at,
            block=chain.hash_of(chain.based_at),
            rule=block.rule,
            round=chain.round,
            root=chain.root,
            size=chain.size,
            counted=self._is_counted(),
            counted_run=counted.run if counted else b"",
            counted_last_step=counted.last_step if counted else 0,
            because=self._why(block, headers),
            contributors=tuple(
                (NodeId(one.node), self.here.name(NodeId(one.node)), one.weight) for one in headers
            ),
            absent=tuple(
                (NodeId(one.node), self.here.name(NodeId(one.node)), one.because) for one in block.absentees
            ),
            chief=NodeId(block.originator),
            view=chain.committed[chain.based_at].certificate.view,
            duration_ms=block.duration_ms,
            started=started,
            finished=chain.finished,
        )

    def _is_counted(self) -> bool:
        offer = self.latest
        return offer is not None and self.here.chain.is_counted(RunId(offer.run), offer.last_step)

    def _why(self, block: Block, headers: tuple[Header, ...]) -> str:
        me = self.here.me.node
        total = sum(header.weight for header in headers)
        for header in headers:
            if header.node == me and self._is_counted():
                return f"counted with weight {header.weight} of {total}"
            if header.node == me:
                return "a contribution before this one was counted"
        return next(
            (one.because for one in block.absentees if one.node == me), "it came after the door had closed"
        )


def _tidy(metrics: dict[str, float]) -> dict[str, float]:
    """Keep what a header may carry: few, short, finite."""
    tidy = {name[:32]: float(value) for name, value in sorted(metrics.items()) if isfinite(value)}
    return dict(list(tidy.items())[:MAX_METRICS])
