"""The machine room: processes, cores, environments, statistics, tables."""
