"""The command line's process: the only place where typer and rich are used."""
