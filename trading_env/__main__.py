"""``python -m trading_env``: the command ``trading-env``."""

import sys

from trading_env.command.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
