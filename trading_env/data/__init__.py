"""Markets: bars that are checked, read from files and frames, bundled, or simulated."""
