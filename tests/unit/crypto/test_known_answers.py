"""Do the primitives under `comind.crypto` give what their standards publish?"""

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from comind.crypto.identity import Identity, NodeId, verify
from comind.crypto.sealing import ChunkOpener, ChunkSealer, MessageOpener, MessageSealer

hex_bytes = bytes.fromhex


@pytest.mark.parametrize(
    ("secret", "public", "message", "signature"),
    [
        pytest.param(
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            id="TEST 1",
        ),
        pytest.param(
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            id="TEST 2",
        ),
        pytest.param(
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            id="TEST 3",
        ),
    ],
)
def test_ed25519_signs_as_rfc_8032_section_7_1(
    secret: str, public: str, message: str, signature: str
) -> None:
    identity = Identity.from_secret(hex_bytes(secret))
    assert identity.node_id == hex_bytes(public)
    assert identity.sign(hex_bytes(message)) == hex_bytes(signature)
    assert verify(NodeId(hex_bytes(public)), hex_bytes(message), hex_bytes(signature))


def x25519(scalar: bytes, point: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(scalar).exchange(X25519PublicKey.from_public_bytes(point))


@pytest.mark.parametrize(
    ("scalar", "point", "product"),
    [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ],
)
def test_x25519_multiplies_as_rfc_7748_section_5_2(scalar: str, point: str, product: str) -> None:
    assert x25519(hex_bytes(scalar), hex_bytes(point)) == hex_bytes(product)


def test_x25519_iterates_as_rfc_7748_section_5_2() -> None:
    scalar = point = b"\x09" + bytes(31)
    seen = {}
    for count in range(1, 1001):
        scalar, point = x25519(scalar, point), scalar
        seen[count] = scalar.hex()
    assert seen[1] == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
    assert seen[1000] == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"


def test_x25519_agrees_as_rfc_7748_section_6_1() -> None:
    alice = X25519PrivateKey.from_private_bytes(
        hex_bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    )
    bob = X25519PrivateKey.from_private_bytes(
        hex_bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    )
    assert alice.public_key().public_bytes_raw() == hex_bytes(
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    )
    assert bob.public_key().public_bytes_raw() == hex_bytes(
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    )
    shared = hex_bytes("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    assert alice.exchange(bob.public_key()) == bob.exchange(alice.public_key()) == shared


@pytest.mark.parametrize(
    ("secret", "salt", "info", "key"),
    [
        pytest.param(
            b"\x0b" * 22,
            bytes(range(0x0D)),
            bytes(range(0xF0, 0xFA)),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
            id="A.1",
        ),
        pytest.param(
            bytes(range(0x50)),
            bytes(range(0x60, 0xB0)),
            bytes(range(0xB0, 0x100)),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
            "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
            "cc30c58179ec3e87c14c01d5c1f3434f1d87",
            id="A.2",
        ),
        pytest.param(
            b"\x0b" * 22,
            b"",
            b"",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
            id="A.3",
        ),
    ],
)
def test_hkdf_sha256_derives_as_rfc_5869_appendix_a(
    secret: bytes, salt: bytes, info: bytes, key: str
) -> None:
    expected = hex_bytes(key)
    assert HKDF(SHA256(), length=len(expected), salt=salt, info=info).derive(secret) == expected


GCM_KEY = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
GCM_NONCE = "cafebabefacedbaddecaf888"
GCM_PLAINTEXT = (
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
)
GCM_CIPHERTEXT = (
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
)


@pytest.mark.parametrize(
    ("key", "nonce", "plaintext", "associated", "ciphertext", "tag"),
    [
        pytest.param("00" * 32, "00" * 12, "", "", "", "530f8afbc74536b9a963b4f1c4cb738b", id="13"),
        pytest.param(
            "00" * 32,
            "00" * 12,
            "00" * 16,
            "",
            "cea7403d4d606b6e074ec5d3baf39d18",
            "d0d1c8a799996bf0265b98b5d48ab919",
            id="14",
        ),
        pytest.param(
            GCM_KEY, GCM_NONCE, GCM_PLAINTEXT, "", GCM_CIPHERTEXT, "b094dac5d93471bdec1a502270e3cc6c", id="15"
        ),
        pytest.param(
            GCM_KEY,
            GCM_NONCE,
            GCM_PLAINTEXT[:120],
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            GCM_CIPHERTEXT[:120],
            "76fc6ece0f4e1768cddf8853bb2d551b",
            id="16",
        ),
    ],
)
def test_aes_256_gcm_seals_as_mcgrew_and_viega_appendix_b(
    key: str, nonce: str, plaintext: str, associated: str, ciphertext: str, tag: str
) -> None:
    cipher, sealed = AESGCM(hex_bytes(key)), hex_bytes(ciphertext + tag)
    out, back = bytearray(len(sealed)), bytearray(len(sealed) - 16)
    cipher.encrypt_into(hex_bytes(nonce), hex_bytes(plaintext), hex_bytes(associated), out)
    cipher.decrypt_into(hex_bytes(nonce), out, hex_bytes(associated), back)
    assert [bytes(out), bytes(back)] == [sealed, hex_bytes(plaintext)]
    assert cipher.encrypt(hex_bytes(nonce), hex_bytes(plaintext), hex_bytes(associated)) == sealed


def test_the_first_message_and_chunk_zero_are_test_case_14() -> None:
    """Our nonces begin at twelve zero bytes, which ties our own framing to a published vector."""
    sealed = hex_bytes("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919")
    out, back = bytearray(32), bytearray(b"\xff" * 16)
    ChunkSealer(bytes(32)).seal_into(0, bytes(16), out)
    ChunkOpener(bytes(32)).open_into(0, sealed, back)
    assert [bytes(out), bytes(back)] == [sealed, bytes(16)]
    assert MessageSealer(bytes(32)).seal(bytes(16)) == sealed
    assert MessageOpener(bytes(32)).open(sealed) == bytes(16)


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
        (1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
        (1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"),
        (1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"),
    ],
)
def test_blake3_hashes_as_its_official_vectors(length: int, expected: str) -> None:
    content = bytes(position % 251 for position in range(length))
    assert blake3(content).hexdigest() == expected
