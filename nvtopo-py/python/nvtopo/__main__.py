"""The command `nvtopo`, as `python -m nvtopo` and as the console script. Holds nothing of its own."""

import signal
import sys

from ._nvtopo import main as _main


def main() -> int:
    """Run the command with the arguments of this process and return its exit code."""
    # Python would only note an interrupt, and raise it when the command is done.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
