"""The command line: one module a command; only here are click, tqdm and exit codes."""
