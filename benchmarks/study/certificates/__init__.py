"""Certificates: agents on problems whose optimum is known, as jobs of a study."""
