"""Speed against other projects, each in a virtual environment of its own."""
