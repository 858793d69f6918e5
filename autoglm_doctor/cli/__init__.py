"""The command line: parse, call, print, exit. One small file per command; heavy imports inside commands."""
