"""Lab 13: five studies, each with one flaw."""
