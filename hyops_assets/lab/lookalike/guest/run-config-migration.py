#!/usr/bin/python3
"""Migrates a configuration to the look-alike's release, so that it shows in it that this ran.

As in VyOS, a configuration without a footer counts as one of version 0 of everything: it gets the helpers of
connection tracking that every router of before 2018 had. One with an older version of `conntrack` gets `tftp` alone.
"""

import re
import subprocess
import sys
from pathlib import Path

from vyos.configtree import ConfigTree  # pyright: ignore[reportMissingImports] - the guest has it

MODULES = ["system", "conntrack", "modules"]
FOOTER = "/usr/libexec/vyos/add-system-version.py"

path = Path(sys.argv[1])
text = path.read_text()
footer = subprocess.run([FOOTER], capture_output=True, text=True, check=True).stdout
found = re.search(r"^// vyos-config-version: .*$", text, re.MULTILINE)
if not found or found[0] not in footer:
    body = text.partition("// Warning: ")[0]
    tree = ConfigTree(body)
    for name in ("tftp",) if found else ("ftp", "tftp"):
        tree.set([*MODULES, name])
    path.write_text(tree.to_string().rstrip("\n") + "\n" + footer)
