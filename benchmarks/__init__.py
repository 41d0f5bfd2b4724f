"""Benchmarks: one question a file, answered by raw limit, us and peers in the same run.

`python -m benchmarks` asks every question, `python -m benchmarks fanout` one. `harness/` is the
machine room, `load/` the client that runs in a process of its own, `peers/` one small server or
worker for each contestant.
"""
