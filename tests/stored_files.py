"""What lies in a store on disk, to compare two of them."""

import hashlib
import json
from pathlib import Path


def digests(folder):
    """Every file of a store, with the hash of its content.

    Older versions of zarr list the members of `.zmetadata` in the order of the folder.
    """
    return {
        str(path.relative_to(folder)): hashlib.sha256(_content(path)).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def _content(path):
    if path.name != ".zmetadata":
        return path.read_bytes()
    return json.dumps(json.loads(path.read_text()), sort_keys=True).encode()
