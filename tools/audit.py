"""Asks pip-audit whether anything installed has a known vulnerability: ``python tools/audit.py``.

Exit 0: nothing known; 1: something is. Where the list of vulnerabilities cannot be reached, it says that nothing was
audited, and does not fail: that is no fault of a change.
"""

from __future__ import annotations

import json
import subprocess
import sys


def main() -> int:
    """Runs it, and says in a few lines what it found."""
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--skip-editable", "--progress-spinner", "off", "--format", "json"],
        capture_output=True,
        text=True,
    )
    try:
        installed = json.loads(done.stdout)["dependencies"]
    except ValueError:
        print(f"not audited: {(done.stderr.strip().splitlines() or ['pip-audit said nothing'])[-1]}")
        return 0
    audited = [package for package in installed if "vulns" in package]
    print(
        f"{len(audited)} of {len(installed)} packages audited" + ("" if audited else ": nothing is known of any here")
    )
    for package in audited:
        for fault in package["vulns"]:
            mended = ", ".join(fault["fix_versions"]) or "no version yet"
            print(f"{package['name']} {package['version']}: {fault['id']}, mended in {mended}")
    return int(any(package["vulns"] for package in audited))


if __name__ == "__main__":
    sys.exit(main())
