"""Unpacks an uploaded archive, also a hostile one, into a folder and nowhere else."""

import base64
import binascii
import io
import lzma
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

MAX_ARCHIVE_BYTES = 5 * 1024 * 1024  # the limit of an instance of Panther
MAX_UNPACKED_BYTES = 100 * 1024 * 1024
MAX_FILES = 20_000
# Raised by zipfile and its decompressors for invalid archives and unknown compressions. Errors of
# writing are an ArchiveError already.
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    ValueError,
    LookupError,
    OSError,
    struct.error,
)


class ArchiveError(Exception):
    """An archive that is refused; the message says why."""


def unpack(data: str, folder: Path) -> None:
    """Unpack a base64 encoded zip archive into an empty folder.

    Raises:
        ArchiveError: The archive is invalid or too large, or would write outside the folder.
    """
    try:
        packed = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ArchiveError(f"the archive is not base64: {error}") from error
    if len(packed) > MAX_ARCHIVE_BYTES:
        size, limit = len(packed) / 2**20, MAX_ARCHIVE_BYTES >> 20
        raise ArchiveError(f"the archive has {size:.1f} MB; the limit is {limit} MB")
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            _extract(archive, folder)
    except ArchiveError:
        raise
    except UNREADABLE as error:
        raise ArchiveError(f"the archive is not a valid zip file: {error}") from error


def _extract(archive: zipfile.ZipFile, folder: Path) -> None:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > MAX_FILES:
        raise ArchiveError(f"the archive has more than {MAX_FILES:,} files")
    left = MAX_UNPACKED_BYTES
    for member in members:
        target = folder / _safe_name(member)
        if target.exists():
            raise ArchiveError(f"{member.filename}: appears twice in the archive")
        with archive.open(member) as file:
            content = file.read(left + 1)
        left -= len(content)
        if left < 0:
            raise ArchiveError(f"the archive unpacks to more than {MAX_UNPACKED_BYTES >> 20} MB")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        except OSError as error:
            raise ArchiveError(f"{member.filename!r}: cannot be stored: {error}") from error


def _safe_name(member: zipfile.ZipInfo) -> PurePosixPath:
    name = member.filename
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
        raise ArchiveError(f"{name!r}: would be written outside the content")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise ArchiveError(f"{name!r}: is a link")
    if member.flag_bits & 0x1:
        raise ArchiveError(f"{name!r}: is encrypted")
    return path
