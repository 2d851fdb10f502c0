"""DICOM series: which there are, how their slices lie, and their pixels."""
