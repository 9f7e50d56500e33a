"""Networks with a seed axis, their optimisers and losses."""
