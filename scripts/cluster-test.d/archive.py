#!/usr/bin/env python3
"""Makes a docker archive of one layer, without an engine: for images that consist of a program.

archive.py OUT NAME:TAG[,NAME:TAG...] ENTRY-POINT FILE:PATH...
"""

import hashlib
import io
import json
import posixpath
import sys
import tarfile


def entry(name, kind=tarfile.REGTYPE, mode=0o755, size=0):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size = kind, mode, size
    return info


def layer(files):
    """A tar of `files`, pairs of a file here and its path there, and of the folders that these are in."""
    data, made = io.BytesIO(), {""}
    with tarfile.open(fileobj=data, mode="w") as tar:

        def make_folder(path):
            if path not in made:
                made.add(path)
                make_folder(posixpath.dirname(path))
                tar.addfile(entry(path, tarfile.DIRTYPE))

        for here, there in files:
            there = there.lstrip("/")
            make_folder(posixpath.dirname(there))
            with open(here, "rb") as file:
                content = file.read()
            tar.addfile(entry(there, size=len(content)), io.BytesIO(content))
    return data.getvalue()


def main(out, names, entry_point, *files):
    content = layer([file.split(":") for file in files])
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": [entry_point], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(content).hexdigest()]},
    }
    config = json.dumps(config).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = [{"Config": config_name, "RepoTags": names.split(","), "Layers": ["layer.tar"]}]
    with tarfile.open(out, "w") as tar:
        for member, data in (
            (config_name, config),
            ("layer.tar", content),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            tar.addfile(entry(member, mode=0o644, size=len(data)), io.BytesIO(data))


if __name__ == "__main__":
    main(*sys.argv[1:])
