"""The command ``trading-env``. It alone of this package may import `agents`, inside the functions that need them."""
