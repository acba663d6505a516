#!/usr/bin/env python3
"""Writes the bill of materials of the firewatch binary to standard output, as CycloneDX 1.6 in JSON.

The graph comes from `cargo tree`, checksums from Cargo.lock, and versions of C libraries from the crates that
build them, or from the system when the build links the system's (see `system_libraries` in ./dev). The same commit
on the same system gives the same bytes. `--binary FILE` adds the checksum of the binary.

cargo-cyclonedx lists no C libraries and takes features from the whole workspace, tests included.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import uuid
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent

# C libraries: the crate that builds each, what it is built from in that crate, and how the system's is found.
# A version of None is the part after `+` in the crate's version.
LIBRARIES = [
    {"name": "openssl", "crate": "openssl-src", "version": None, "licence": "Apache-2.0", "cpe": "openssl:openssl",
     "user": "openssl-sys", "pkg_config": "openssl", "variable": "OPENSSL_NO_VENDOR", "file": "libssl.so"},
    {"name": "zstd", "crate": "zstd-sys", "version": None, "licence": "BSD-3-Clause", "cpe": "facebook:zstandard",
     "user": "zstd-sys", "pkg_config": "libzstd", "variable": "ZSTD_SYS_USE_PKG_CONFIG", "file": "libzstd.so"},
    {"name": "sqlite", "crate": "libsqlite3-sys", "licence": "blessing", "cpe": "sqlite:sqlite",
     "version": ("sqlite3/sqlite3.h", r'#define SQLITE_VERSION\s+"(.+)"'), "user": "libsqlite3-sys",
     "pkg_config": "sqlite3", "variable": "LIBSQLITE3_SYS_USE_PKG_CONFIG", "file": "libsqlite3.so"},
    {"name": "librdkafka", "crate": "rdkafka-sys", "version": None, "licence": "BSD-2-Clause", "user": "rdkafka-sys"},
    {"name": "zlib", "crate": "libz-sys", "licence": "Zlib", "cpe": "zlib:zlib", "user": "libz-sys",
     "version": ("src/zlib/zlib.h", r'#define ZLIB_VERSION "(.+)"')},
    # Copies inside librdkafka.
    {"name": "lz4", "crate": "rdkafka-sys", "licence": "BSD-2-Clause", "cpe": "lz4_project:lz4", "user": "librdkafka",
     "version": ("librdkafka/src/lz4.h", r"#define LZ4_VERSION_(?:MAJOR|MINOR|RELEASE)\s+(\d+)")},
    {"name": "cjson", "crate": "rdkafka-sys", "licence": "MIT", "cpe": "cjson_project:cjson", "user": "librdkafka",
     "version": ("librdkafka/src/cJSON.h", r"#define CJSON_VERSION_(?:MAJOR|MINOR|PATCH)\s+(\d+)")},
    {"name": "nanopb", "crate": "rdkafka-sys", "licence": "Zlib", "cpe": "nanopb_project:nanopb", "user": "librdkafka",
     "version": ("librdkafka/src/nanopb/pb.h", r'#define NANOPB_VERSION "nanopb-(.+)"')},
]


def run(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def tree(edges, target):
    """Returns the crates by (name, version), and which depend on which, from `cargo tree`."""
    form = "\t{p}\t{l}\t{r}"
    lines = run("cargo", "tree", "--locked", "-p", "firewatch", "-e", edges, "--target", target, "--prefix", "depth",
                "--format", form).splitlines()
    crates, graph, path = {}, {}, []
    for line in lines:
        depth, package, licence, repository = line.removesuffix(" (*)").split("\t")
        name, version = package.split()[:2]
        key = (name, version.removeprefix("v"))
        crates[key] = {"licence": licence, "repository": repository, "macro": "(proc-macro)" in package}
        path[int(depth):] = [key]
        graph.setdefault(key, set())
        if len(path) > 1:
            graph[path[-2]].add(key)
    return crates, graph


def linked_crates(root, crates, graph):
    """Returns the crates in the binary: procedural macros and what they need run in the compiler only."""
    found, open_ends = set(), [root]
    while open_ends:
        key = open_ends.pop()
        if key not in found and not crates[key]["macro"]:
            found.add(key)
            open_ends.extend(graph[key])
    return found


def checksums():
    lock = (ROOT / "Cargo.lock").read_text()
    found = re.findall(r'name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"', lock)
    return {(name, version): checksum for name, version, checksum in found}


def reference(key, sums):
    """Crates of the workspace are on no registry: a purl would name somebody else's crate."""
    name, version = key
    return f"pkg:cargo/{name}@{quote(version)}" if key in sums else f"firewatch:{name}@{version}"


def crate_component(key, crate, linked, sums):
    component = {
        "type": "library",
        "bom-ref": reference(key, sums),
        "name": key[0],
        "version": key[1],
        "scope": "required" if linked else "excluded",
        "licenses": [{"expression": " ".join(crate["licence"].replace("/", " OR ").split())}],
    }
    if key in sums:
        component["hashes"] = [{"alg": "SHA-256", "content": sums[key]}]
        component["purl"] = reference(key, sums)
    if crate["repository"].startswith("https://"):
        component["externalReferences"] = [{"type": "vcs", "url": crate["repository"]}]
    return component


def built_version(library, version, folder):
    if library["version"] is None:
        return version.split("+")[-1].removeprefix("zstd.")
    file, pattern = library["version"]
    return ".".join(re.findall(pattern, (folder / file).read_text()))


def debian_package(library):
    """Returns the purl of the Debian package that holds the system's library, or None on other systems."""
    file = Path(run("cc", f"-print-file-name={library['file']}")).resolve()
    try:
        # /lib is a link to /usr/lib, and packages name files by either.
        package = run("dpkg", "-S", f"*{str(file).removeprefix('/usr')}").split(": ")[0]
        version, architecture = run("dpkg-query", "-W", "-f", "${Version} ${Architecture}", package).split()
        system = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    except (OSError, subprocess.CalledProcessError):
        return None
    name, system = package.split(":")[0], {key: value.strip('"') for key, value in system.items()}
    distribution = f"{system['ID']}-{system.get('VERSION_ID', 'testing')}"
    return f"pkg:deb/{system['ID']}/{name}@{quote(version, safe='~')}?arch={architecture}&distro={distribution}"


def library_component(library, crates):
    """Describes a C library: the system's when the build links it, or the one that the crate builds."""
    system = os.environ.get(library.get("variable", ""), "0") != "0"
    if system:
        version = run("pkg-config", "--modversion", library["pkg_config"])
        purl = debian_package(library)
    else:
        name, version, folder = next(crate for crate in crates if crate[0] == library["crate"])
        version, purl = built_version(library, version, folder), None
    component = {
        "type": "library",
        "bom-ref": f"c:{library['name']}@{version}",
        "name": library["name"],
        "version": version,
        "scope": "required",
        "licenses": [{"license": {"id": library["licence"]}}],
        "purl": purl or f"pkg:generic/{library['name']}@{quote(version)}",
        "properties": [{"name": "firewatch:linked", "value": "system" if system else f"built in by {library['crate']}"}],
    }
    if "cpe" in library:
        component["cpe"] = f"cpe:2.3:a:{library['cpe']}:{version.split('-')[0]}:*:*:*:*:*:*:*"
    return component


def model_component(path):
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{path.name}",
        "name": path.name,
        "scope": "required",
        "hashes": [sha256(path)],
    }


def sha256(path):
    return {"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}


def bill(binary):
    target = re.search("host: (.+)", run("rustc", "-vV")).group(1)
    crates, graph = tree("normal,build", target)
    root = next(iter(crates))
    linked = linked_crates(root, *tree("normal", target))
    sums = checksums()
    packages = json.loads(run("cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target))
    folders = [(p["name"], p["version"], Path(p["manifest_path"]).parent) for p in packages["packages"]]
    libraries = {library["name"]: library_component(library, folders) for library in LIBRARIES}
    models = [model_component(path) for path in sorted((ROOT / "models").glob("*.fwm"))]

    uses = {reference(key, sums): {reference(other, sums) for other in others} for key, others in graph.items()}
    uses[reference(root, sums)].update(model["bom-ref"] for model in models)
    names = {name: reference((name, version), sums) for name, version in crates}
    for library in LIBRARIES:
        component = libraries[library["name"]]
        user = libraries[library["user"]]["bom-ref"] if library["user"] in libraries else names[library["user"]]
        uses.setdefault(user, set()).add(component["bom-ref"])

    main = crate_component(root, crates[root], True, sums) | {"type": "application"}
    main["hashes"] = [sha256(binary)] if binary else []
    components = [crate_component(key, crates[key], key in linked, sums) for key in sorted(crates) if key != root]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": run("git", "log", "-1", "--format=%cI"),
            "tools": {"components": [{"type": "application", "name": "deploy/sbom.py", "group": "firewatch"}]},
            "component": main,
            "properties": [
                {"name": "firewatch:commit", "value": run("git", "describe", "--always", "--dirty", "--abbrev=40")},
                {"name": "firewatch:compiler", "value": run("rustc", "-V")},
                {"name": "firewatch:target", "value": target},
            ],
        },
        "components": components + list(libraries.values()) + models,
        "dependencies": [{"ref": ref, "dependsOn": sorted(uses[ref])} for ref in sorted(uses)],
    }
    content = json.dumps(document, sort_keys=True)
    return {"serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}"} | document


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Writes the bill of materials of the firewatch binary.")
    arguments.add_argument("--binary", type=Path, help="add the checksum of this binary")
    try:
        print(json.dumps(bill(arguments.parse_args().binary), indent=1))
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{' '.join(error.cmd)}: {error.stderr}")
