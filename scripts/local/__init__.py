"""The parts of scripts/local_network.py: a whole network on one machine, on real data."""
