"""One small program for each contestant: actors answer `harness.lines`, servers print their port.

Each runs in the environment that the harness made for it, so nothing here imports more than the
contestant itself, the standard library, `harness.machine` and `harness.lines`.
"""
