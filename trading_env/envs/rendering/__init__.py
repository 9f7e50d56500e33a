"""An episode so far: run again, as a table, as text, and as pictures."""
