"""Random and mutated bytes against a running node; see run.py."""
