"""What goes out for others to read: a page of a scan, a DICOM Structured Report."""
