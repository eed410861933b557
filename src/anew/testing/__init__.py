"""What we ship for tests: contracts of the ports, fakes in memory, faults, and worlds to tell stories in."""
