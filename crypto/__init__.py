"""How are bytes sealed, signed and trusted? Bytes in, bytes out.

Knows nothing of sockets, rounds or models: who is allowed in, and what the bytes mean, is decided elsewhere.
"""

if __name__ != "comind.crypto":
    raise ImportError("import comind.crypto, never crypto")
