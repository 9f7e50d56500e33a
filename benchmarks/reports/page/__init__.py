"""The page of a study: `results/<study>/index.html`, made of its rows, and its tables for a paper."""
