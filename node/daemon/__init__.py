"""The daemon's process: the network, the store and the averaging, without torch or a command-line library."""
