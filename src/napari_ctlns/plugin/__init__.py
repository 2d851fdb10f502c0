"""The plugin: the only room that imports napari and Qt.

Panels hold layout and signals; what they call is in the modules beside them and
in the rooms below. Nothing here imports torch, MONAI or OpenVINO: long work is
done by the child process or a detached run.
"""
