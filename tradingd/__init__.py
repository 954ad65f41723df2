"""THE PROCESS: command line, settings, composition root, engine loop, supervision, control API."""
