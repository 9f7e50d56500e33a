"""What is to be solved: problems whose optimum is known, and who enters for them."""
