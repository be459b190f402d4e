"""The processes on one machine: the daemon, the trainer and the command line, and what the three share."""

if __name__ != "comind.node":
    raise ImportError("import comind.node, never node")
