"""Let the first packed slices that a process reads be read by several threads, in many processes.

    python dicom_first_reads.py KIND PROCESSES FOLDER

Ends with the number of processes that did not end well.
"""

import os
import sys
import threading
from pathlib import Path

from dicom_fuzz import write

from napari_ctlns.formats import read_scan

THREADS = 3


def main():
    kind, processes, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    write(folder, kind, 40)
    fallen = 0
    for _ in range(processes):
        process = os.fork()  # of a process that has imported all and read nothing
        if process == 0:
            read_together(folder)
            os._exit(0)
        fallen += os.waitpid(process, 0)[1] != 0
    sys.exit(min(fallen, 100))


def read_together(folder):
    ready = threading.Barrier(THREADS)

    def read():
        ready.wait()
        read_scan(folder)

    threads = [threading.Thread(target=read) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
