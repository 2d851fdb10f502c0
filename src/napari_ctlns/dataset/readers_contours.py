"""The readers' contours of LIDC-IDRI: a mask of each reader, and their consensus."""

import json
from collections.abc import Iterable
from pathlib import Path

from napari_ctlns.dataset.carrying import carried
from napari_ctlns.dataset.folder import RatedNodule, Unmatched
from napari_ctlns.dataset.match import Names, file_signature
from napari_ctlns.dataset.revisions import ReadersMask
from napari_ctlns.dataset.truths import TrueMasks
from napari_ctlns.errors import DatasetError
from napari_ctlns.formats import (
    ScanFile,
    lidc_annotations,
    lidc_consensus,
    list_lidc,
    read_lidc,
    reader_mask,
)
from napari_ctlns.formats.lidc import LidcNodule
from napari_ctlns.volume import Volume

CONSENSUS = "consensus"


class ReadersContours:
    """XML files of LIDC-IDRI, matched by the series they speak of.

    The consensus counts; each reader's own mask is kept beside it. A scan of
    which no file speaks is none without nodules: it cannot be used.

    Parameters
    ----------
    folder
        Searched with all below it; or one file.
    scans
        All scans there are.
    share
        Of the readers who marked a nodule, those who must have drawn a voxel.
    """

    def __init__(self, folder: Path, scans: Iterable[ScanFile], share: float = 0.5) -> None:
        self._folder = folder
        self._share = share
        self.remarks: tuple[str, ...] = ()
        names = Names(scans)
        found, left_out = list_lidc(folder)
        self._found: dict[ScanFile, Path] = {}
        strangers = [Unmatched(what=str(folder), why=words) for words in left_out]
        for series, path in sorted(found.items()):
            bearers = names.bearers(series)
            self._found.update(dict.fromkeys(bearers, path))
            if not bearers:
                why = f"{names.why_none(series)}: it is of {series}"
                strangers.append(Unmatched(what=str(path), why=why))
        if not self._found:
            raise DatasetError(
                f"{folder} has no contours of these scans; give LIDC-IDRI's XML files"
            )
        self.strangers = tuple(strangers)

    def why_not(self, file: ScanFile) -> str:
        """Say that no reader's contours are there."""
        return "" if file in self._found else f"no contours of this scan in {self._folder}"

    def signature(self, file: ScanFile) -> str:
        """Return name, size and time of the scan's file, and the share."""
        return json.dumps([file_signature(self._found[file]), self._share])

    def of(self, file: ScanFile, volume: Volume, prepared: Volume) -> TrueMasks:
        """Return the consensus, each reader's mask, and the ratings."""
        path = self._found[file]
        reading = read_lidc(path)
        truth = lidc_consensus(reading, volume, self._share)
        drawn = [(CONSENSUS, truth.mask)]
        drawn += [
            (_name(index), reader_mask(reading, index, volume))
            for index in range(len(reading.readers))
        ]
        masks = []
        problems = list(truth.mask.source.warnings)
        for reader, mask in drawn:
            array, lost = carried(mask, volume, prepared.geometry, f"{reader} of {path}")
            masks.append(ReadersMask(array, reader))
            problems += lost
        return TrueMasks(
            masks=tuple(masks),
            annotations=lidc_annotations(truth),
            ratings=tuple(_rated(nodule) for nodule in truth.nodules),
            problems=tuple(problems),
        )


def _name(index: int) -> str:
    return f"reader {index + 1}"


def _rated(nodule: LidcNodule) -> RatedNodule:
    ratings = {
        _name(reader): {
            name: values[place] for name, values in nodule.ratings.items() if values[place]
        }
        for place, reader in enumerate(nodule.readers)
    }
    return RatedNodule(label=nodule.label, ratings=ratings)
