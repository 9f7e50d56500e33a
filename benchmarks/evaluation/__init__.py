"""Test episodes of policies, and the controls that any study can run."""
