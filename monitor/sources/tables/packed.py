"""Files that are compressed, by their ending or first bytes: read as they are they would be noise."""

import shlex
from pathlib import Path

ENDINGS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".lz4": "lz4", ".zip": "zip"}
HEADS = {  # none of zip: spreadsheets begin so too
    b"\x1f\x8b\x08": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    **{b"BZh%d1AY&SY" % level: "bzip2" for level in range(1, 10)},
}
UNPACK = {"zip": "unzip -p"}  # the others all alike


def packed(path: Path) -> str | None:
    """What a compressed file is, and the command that unpacks it; None of any other, and of what cannot be read."""
    try:
        way = _way(path) if path.is_file() else None
    except OSError:
        return None
    if way is None:
        return None
    plain = path.with_suffix("") if path.suffix.lower() in ENDINGS else path.with_name(f"unpacked-{path.name}")
    command = f"{UNPACK.get(way, f'{way} -dc')} {shlex.quote(str(path))} > {shlex.quote(str(plain))}"
    return f"{path}: is compressed; unpack it first: {command}"


def _way(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(10)
    return next((way for start, way in HEADS.items() if head.startswith(start)), ENDINGS.get(path.suffix.lower()))
