"""The final stage with the real server: start the intended command, follow it, measure it, stop it."""
