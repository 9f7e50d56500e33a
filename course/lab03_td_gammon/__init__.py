"""Lab 3: afterstates and traces, the idea of TD-Gammon."""
