"""How nodes agree and exchange snapshots: a core that decides and a shell that carries. Knows no process."""

if __name__ != "comind.p2p":
    raise ImportError("import comind.p2p, never p2p")
