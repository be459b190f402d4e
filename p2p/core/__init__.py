"""Every decision, and no IO: sockets, clock, randomness and disk belong to the caller."""
