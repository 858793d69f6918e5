"""Pure knowledge that checks and commands share: memory, packages, wheels, error texts. No I/O, no judgement."""
