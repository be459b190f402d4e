"""ZeroMQ: carries the core's words to other nodes and back, and decides nothing."""
