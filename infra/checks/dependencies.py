"""Audits the crates that we link: their licences, their sources, names we ban, and known vulnerabilities.

Licences, sources and bans are read from `cargo metadata` and Cargo.lock, so they need no network once the crates are
fetched. Vulnerabilities come from the OSV database (which includes RustSec's) over the network. When it cannot be
reached the output says that they were NOT CHECKED, and the exit code is still 0: a check must not depend on a network
that a build machine may not have. A known vulnerability, unlike an unreachable database, fails.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from typing import Any

ROOT = pathlib.Path(__file__).parents[2]
OSV = "https://api.osv.dev/v1"
OSV_SECONDS = 10
OSV_BATCH = 1000

# Permissive licences, none of which asks more than to keep the notice.
LICENCES = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0",
    "CDLA-Permissive-2.0", "ISC", "MIT", "MIT-0", "Unicode-3.0", "Unlicense", "Zlib",
}

# Crate → the licence that it alone may have, beyond LICENCES, and why.
EXCEPTIONS = {
    "vrl": ("MPL-2.0", "its files keep their licence, ours are not touched; we link it as published (docs/decisions/013)"),
}

# Crate → why it must not be linked.
BANNED = {
    "openssl-sys": "TLS is rustls everywhere; OpenSSL would need a C library for each target",
    "native-tls": "TLS is rustls everywhere",
}

# Advisory → why it does not concern us.
IGNORED_ADVISORIES: dict[str, str] = {}

Package = dict[str, Any]


def metadata() -> list[Package]:
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode != 0:
        sys.exit("dependencies: cargo metadata failed")
    return json.loads(run.stdout)["packages"]


def foreign(packages: list[Package]) -> list[Package]:
    """Those that are not ours: a workspace member has no source."""
    return [package for package in packages if package["source"] is not None]


def allows(expression: str) -> bool:
    """Whether an SPDX expression can be satisfied with LICENCES alone. `/` is an old way to write OR."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))

    def either() -> bool:
        result = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            right = both()
            result = result or right
        return result

    def both() -> bool:
        result = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            right = one()
            result = result and right
        return result

    def one() -> bool:
        token = tokens.pop(0)
        if token == "(":
            result = either()
            tokens.pop(0)
            return result
        if tokens and tokens[0] == "WITH":
            tokens.pop(0)
            token = f"{token} WITH {tokens.pop(0)}"
        return token in LICENCES

    return either()


def label(package: Package) -> str:
    return f"{package['name']} {package['version']}"


def licence_faults(packages: list[Package]) -> list[str]:
    faults = []
    for package in packages:
        exception, _ = EXCEPTIONS.get(package["name"], (None, None))
        if not package["license"]:
            faults.append(f"{label(package)}: expected a licence expression, got none")
        elif package["license"] != exception and not allows(package["license"]):
            faults.append(f"{label(package)}: licence {package['license']} is not among those allowed")
    return faults


def source_faults(packages: list[Package]) -> list[str]:
    """Every crate comes from one registry, and the lock file pins its content."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    pinned = {(p["name"], p["version"]) for p in lock["package"] if "checksum" in p}
    faults = [f"{label(p)}: no checksum in Cargo.lock" for p in packages if (p["name"], p["version"]) not in pinned]
    sources = {p["source"] for p in packages}
    faults += [f"expected a registry, got {source}" for source in sources if not source.startswith("registry+")]
    if len(sources) > 1:
        faults.append(f"expected one registry, got {', '.join(sorted(sources))}")
    return faults


def ban_faults(packages: list[Package]) -> list[str]:
    return [f"{label(p)} is banned: {BANNED[p['name']]}" for p in packages if p["name"] in BANNED]


def duplicates(packages: list[Package]) -> list[str]:
    versions = collections.defaultdict(list)
    for package in packages:
        versions[package["name"]].append(package["version"])
    return [f"{name} ({', '.join(sorted(found))})" for name, found in sorted(versions.items()) if len(found) > 1]


def ask_osv(path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{OSV}/{path}", data=data, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=OSV_SECONDS) as response:
        return json.load(response)


def advisories(packages: list[Package]) -> tuple[list[str], list[str]]:
    """Vulnerabilities, and notices such as `unmaintained`, which are for people to weigh."""
    vulnerabilities, notices = [], []
    for start in range(0, len(packages), OSV_BATCH):
        batch = packages[start : start + OSV_BATCH]
        queries = [{"package": {"purl": f"pkg:cargo/{p['name']}@{p['version']}"}} for p in batch]
        results = ask_osv("querybatch", {"queries": queries})["results"]
        for package, result in zip(batch, results, strict=True):
            for found in result.get("vulns", []):
                if found["id"] in IGNORED_ADVISORIES:
                    continue
                details = ask_osv(f"vulns/{found['id']}")
                kinds = {a.get("database_specific", {}).get("informational") for a in details.get("affected", [])}
                line = f"{label(package)}: {found['id']} {details.get('summary', '')}"
                (vulnerabilities if None in kinds or not kinds else notices).append(line)
    return vulnerabilities, notices


def show(title: str, lines: list[str], verdict: str) -> None:
    print(f"{title:<11}{verdict}")
    for line in lines:
        print(f"  {line}")


def main() -> int:
    packages = foreign(metadata())
    print(f"{len(packages)} crates that are not ours")
    failed = False
    for title, faults in (
        ("licences", licence_faults(packages)), ("sources", source_faults(packages)), ("bans", ban_faults(packages)),
    ):
        show(title, faults, f"{len(faults)} faults" if faults else "ok")
        failed = failed or bool(faults)
    doubled = duplicates(packages)
    print(f"{'duplicates':<11}{len(doubled)} crates in more than one version (no fault): {', '.join(doubled) or 'none'}")
    try:
        vulnerabilities, notices = advisories(packages)
        show("advisories", vulnerabilities, f"{len(vulnerabilities)} vulnerabilities" if vulnerabilities else "ok")
        show("notices", notices, str(len(notices)))
        failed = failed or bool(vulnerabilities)
    except (OSError, urllib.error.URLError, ValueError, KeyError) as error:
        print(f"{'advisories':<11}NOT CHECKED: the vulnerability database is out of reach ({getattr(error, 'reason', error)})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
