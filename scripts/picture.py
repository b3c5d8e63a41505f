"""Draws what `nvtopo show` prints on a terminal as an SVG: picture.py NVTOPO OUTPUT."""

import os
import re
import subprocess
import sys

from rich.console import Console
from rich.text import Text

binary, output = sys.argv[1:]
command = ["show", "--from", "preset:dgx-1-v100"]
environment = dict(os.environ, CLICOLOR_FORCE="1")
environment.pop("NO_COLOR", None)
shown = subprocess.run([binary, *command], check=True, capture_output=True, text=True, env=environment).stdout
lines = [line.rstrip() for line in shown.splitlines()]
width = max(Text.from_ansi(line).cell_len for line in lines) + 2
with open(os.devnull, "w") as nowhere:
    console = Console(record=True, width=width, file=nowhere, force_terminal=True)
    for line in lines:
        # SVG folds ordinary blanks.
        console.print(Text.from_ansi(line.replace(" ", "\u00a0")), soft_wrap=True)
svg = console.export_svg(title="nvtopo " + " ".join(command), unique_id="nvtopo")
# The reader's own fonts do; a picture in a repository loads nothing from elsewhere.
svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
with open(output, "w") as file:
    file.write("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")
