"""Reports as one HTML file each: a tear sheet of a policy, and the drawings that a study's page shares with it."""
