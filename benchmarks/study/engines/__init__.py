"""Engines that run the jobs of a study: on this machine, or on a Ray cluster."""
