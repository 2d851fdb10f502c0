"""Which name is of which scan: a series UID, a file stem, a folder, an nnU-Net case."""

import glob
import json
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from napari_ctlns.formats import ScanFile
from napari_ctlns.formats.images import extension, file_stem

_CHANNEL = re.compile(r"(.+)_(\d{4})")
_SEPARATORS = " _.-"
_MASK_WORDS = frozenset({"mask", "masks", "seg", "segmentation", "label", "labels", "labelmap"})


def ids_of(file: ScanFile) -> frozenset[str]:
    """Return what no other scan should be called: its series, or its file's stem."""
    return frozenset({file.series or file_stem(file.path)})


def names_of(file: ScanFile) -> frozenset[str]:
    """Return what annotations, masks and tables may call a scan."""
    folder = "" if extension(file.path) else file.path.name
    case, _ = case_and_channel(file.path)
    return ids_of(file) | {name for name in (folder, case) if name}


def case_and_channel(path: Path) -> tuple[str, int]:
    """Return the case and channel of an image named as nnU-Net does: ``case_0000.nii.gz``.

    Only images in folders ``imagesTr`` and ``imagesTs`` are named so; of others
    the case is empty and the channel 0.
    """
    found = _CHANNEL.fullmatch(file_stem(path))
    if found is None or path.parent.name.lower() not in ("imagestr", "imagests"):
        return "", 0
    return found[1], int(found[2])


class Names:
    """The names of scans, and which scans bear them."""

    def __init__(self, scans: Iterable[ScanFile]) -> None:
        self._bearers: dict[str, list[ScanFile]] = {}
        for file in scans:
            for name in names_of(file):
                self._bearers.setdefault(name, []).append(file)

    def __contains__(self, name: str) -> bool:
        return bool(self.bearers(name))

    def bearers(self, name: str) -> Sequence[ScanFile]:
        """Return the scan of this name.

        Several are copies of one scan. A folder's name that several scans share
        is no name of any.
        """
        found = self._bearers.get(name, [])
        by_id = [file for file in found if name in ids_of(file)]
        return by_id or (found if len(found) == 1 else [])

    def why_none(self, name: str) -> str:
        """Say why no scan has this name."""
        shared = len(self._bearers.get(name, []))
        if shared:
            return f"{shared} scans lie in folders of this name; use series UIDs"
        return "no such scan"


def mask_name(stem: str, known: Collection[str] | Names) -> tuple[str, str] | None:
    """Return the scan that a mask is named after, and its reader.

    A mask is named exactly as its scan, or has a further word: in ``chest_reader2``
    that is the reader, in ``chest-label`` it only says what the file is. A further
    word has a letter, so that ``chest_2`` is never a mask of ``chest``.
    """
    if stem in known:
        return stem, ""
    for cut in range(len(stem) - 1, 0, -1):
        name, word = stem[:cut], stem[cut:].strip(_SEPARATORS)
        if stem[cut] in _SEPARATORS and re.search("[^\\W\\d_]", word) and name in known:
            return name, "" if word.lower() in _MASK_WORDS else word
    return None


def named_as_mask(stem: str, known: frozenset[str]) -> bool:
    """Whether a stem is that of another file and a word for masks: ``chest_mask``."""
    found = mask_name(stem, known - {stem})
    return found is not None and not found[1]


def file_signature(path: Path) -> str:
    """Return a text that changes when a file, what lies beside it under its name, or a folder does.

    Names, sizes and times of change; a header's data file is told by its stem.
    """
    if path.is_dir():
        files: Iterable[Path] = (f for f in path.iterdir() if f.is_file())
    else:
        files = (f for f in path.parent.glob(f"{glob.escape(file_stem(path))}.*") if f.is_file())
    stats = ((f.name, f.stat()) for f in sorted(files))
    return json.dumps([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats])
