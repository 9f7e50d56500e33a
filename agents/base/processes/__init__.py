"""Training seeds in several processes: how they are cut, run and merged."""
