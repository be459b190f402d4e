"""Does each invite have one text, and does each other text say what is wrong with it?"""

from base64 import b32encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comind.crypto.errors import InvalidInvite
from comind.crypto.invite import MAX_SEED_LENGTH, MAX_SEEDS, Invite, decode, encode
from comind.crypto.statement import digest

INVITE = Invite(bytes(range(32)), bytes(range(32, 64)), ("tcp://192.0.2.1:7700", "tcp://[2001:db8::1]:7700"))
TEXT = encode(INVITE)

hosts = st.one_of(
    st.sampled_from(["a", "7", "host", "my_host-1.example.org", "xn--hst-sna", "192.0.2.1"]),
    st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
)
seeds = st.builds("tcp://{}:{}".format, hosts, st.integers(1, 65535))
invites = st.builds(
    Invite,
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
    st.lists(seeds, max_size=4).map(tuple),
)


def text_of(payload: bytes) -> str:
    """An invite's text whose checksum holds, whatever the payload: what a foreign program might make."""
    content = payload + digest("invite checksum", payload)[:8]
    return "comind1-" + b32encode(content).decode().rstrip("=").lower()


def test_the_text_of_an_invite_is_this() -> None:
    assert encode(Invite(bytes(32), b"\xff" * 32, ("tcp://a:1",))) == text_of(
        bytes(32) + b"\xff" * 32 + b"tcp://a:1"
    )


@given(invites)
def test_an_invite_comes_back_from_its_text(invite: Invite) -> None:
    text = encode(invite)
    assert decode(text) == invite
    assert text.isascii()
    assert not set(text) & set(" \n\t'\"$\\")


@given(invites, invites)
def test_different_invites_have_different_texts(one: Invite, other: Invite) -> None:
    assert (encode(one) == encode(other)) == (one == other)


def test_white_space_around_an_invite_is_no_matter() -> None:
    assert decode(f" \t{TEXT}\r\n\n") == INVITE


def test_an_invite_of_the_longest_seeds_comes_back() -> None:
    seed = "tcp://" + "h" * (MAX_SEED_LENGTH - 12) + ":65535"
    invite = Invite(bytes(32), bytes(32), (seed,) * MAX_SEEDS)
    assert len(seed) == MAX_SEED_LENGTH
    assert decode(encode(invite)) == invite


@pytest.mark.parametrize(
    "text",
    [
        "",
        "comind",
        "comind1",
        "tcp://192.0.2.1:7700",
        "comind-1-aaaa",
        "COMIND1-AAAA",
        "comind١-aaaa",
        TEXT[1:],
    ],
)
def test_what_is_no_invite_is_told(text: str) -> None:
    with pytest.raises(InvalidInvite, match="this is not a comind invite"):
        decode(text)


def test_text_without_end_is_no_invite() -> None:
    with pytest.raises(InvalidInvite, match="this is not a comind invite"):
        decode("comind1-" + "a" * 100_000)


@pytest.mark.parametrize("version", ["0", "2", "17", "01"])
def test_an_invite_of_another_version_is_told(version: str) -> None:
    with pytest.raises(InvalidInvite, match=f"of version {version}, and this comind reads 1 only"):
        decode(TEXT.replace("comind1-", f"comind{version}-"))


@given(
    st.integers(len("comind1-"), len(TEXT) - 1),
    st.sampled_from("abcdefghijklmnopqrstuvwxyz234567 018=-A\n\0é"),
)
def test_a_mistyped_invite_is_told_from_a_wrong_one(position: int, letter: str) -> None:
    mistyped = TEXT[:position] + letter + TEXT[position + 1 :]
    if mistyped.strip() != TEXT:
        with pytest.raises(InvalidInvite, match="mistyped or cut off"):
            decode(mistyped)


@given(st.integers(len("comind1-"), len(TEXT) - 1))
def test_an_invite_that_was_cut_off_is_mistyped(length: int) -> None:
    with pytest.raises(InvalidInvite, match="mistyped or cut off"):
        decode(TEXT[:length])


@given(st.integers(len("comind1-"), len(TEXT) - 2))
def test_two_letters_that_changed_places_are_mistyped(position: int) -> None:
    one, other = TEXT[position], TEXT[position + 1]
    if one != other:
        with pytest.raises(InvalidInvite, match="mistyped or cut off"):
            decode(TEXT[:position] + other + one + TEXT[position + 2 :])


@pytest.mark.parametrize("seed_count", range(8))
def test_only_one_text_stands_for_an_invite(seed_count: int) -> None:
    """Base32's last letter may hold bits that nobody reads: no letter but one is taken there."""
    text = encode(Invite(bytes(32), bytes(32), ("tcp://host:1",) * seed_count))
    taken = 0
    for letter in "abcdefghijklmnopqrstuvwxyz234567":
        try:
            decode(text[:-1] + letter)
            taken += 1
        except InvalidInvite:
            pass
    assert taken == 1
    for other in (text + "=", text.upper().replace("COMIND", "comind"), text + "a"):
        with pytest.raises(InvalidInvite):
            decode(other)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        bytes(63),
        bytes(64) + b" ",
        bytes(64) + b"tcp://a:1 ",
        bytes(64) + b"tcp://\xff:1",
        bytes(64) + b"x",
    ],
)
def test_a_payload_that_was_made_wrong_is_refused(payload: bytes) -> None:
    with pytest.raises(InvalidInvite):
        decode(text_of(payload))


@pytest.mark.parametrize(
    "seed",
    [
        "",
        "192.0.2.1:7700",
        "udp://192.0.2.1:7700",
        "tcp://:7700",
        "tcp://192.0.2.1",
        "tcp://192.0.2.1:",
        "tcp://192.0.2.1:0",
        "tcp://192.0.2.1:07700",
        "tcp://192.0.2.1:65536",
        "tcp://192.0.2.1:7700/",
        "tcp://2001:db8::1:7700",
        "tcp://[fe80::1%eth0]:7700",
        "tcp://a b:7700",
        "tcp://user@host:7700",
        "tcp://*:7700",
        "tcp://höst:7700",
        "tcp://host:٧٧٠٠",
        "tcp://host:7700\n",
        "tcp://" + "h" * MAX_SEED_LENGTH + ":7700",
    ],
)
def test_what_is_no_seed_is_refused(seed: str) -> None:
    with pytest.raises(InvalidInvite, match="a seed looks like tcp://host:port"):
        Invite(bytes(32), bytes(32), (seed,))


def test_too_many_seeds_are_refused() -> None:
    with pytest.raises(InvalidInvite, match="at most 16 seeds, not 17"):
        Invite(bytes(32), bytes(32), ("tcp://host:7700",) * (MAX_SEEDS + 1))


@pytest.mark.parametrize(("network", "key"), [(31, 32), (33, 32), (32, 31), (32, 33), (0, 0)])
def test_an_id_or_key_of_another_length_is_refused(network: int, key: int) -> None:
    with pytest.raises(InvalidInvite, match="32 bytes"):
        Invite(bytes(network), bytes(key), ())
