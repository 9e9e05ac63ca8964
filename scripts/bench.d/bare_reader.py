"""Reads frames from a FIFO as plainly as can be, and prints the CPU time of each in seconds.

    bare_reader.py FIFO BYTES COUNT
"""

import os
import resource
import sys


def main(path, size, count):
    fifo = os.open(path, os.O_RDONLY)
    frame = memoryview(bytearray(size))
    left, into = count * size, frame
    began = resource.getrusage(resource.RUSAGE_SELF)
    while left > 0:
        read = os.readv(fifo, [into])
        if not read:
            sys.exit("the frames ended too soon")
        left -= read
        into = into[read:] or frame
    ended = resource.getrusage(resource.RUSAGE_SELF)
    print((ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime) / count)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
