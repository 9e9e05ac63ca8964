"""Reads the number and the time of a frame out of the strip of blocks that the test card draws: see src/source/strip.rs."""

import binascii

BLOCKS = 96
# Between black and white of limited range.
WHITE = 126


class Strip:
    """Where the strip lies in a picture of one size: in its bottom left corner."""

    def __init__(self, width, height):
        self.columns = 32 if self._block(width, height, 32) >= 8 else 16
        self.rows = BLOCKS // self.columns
        self.block = self._block(width, height, self.columns)

    @staticmethod
    def _block(width, height, columns):
        side = min(width // columns, height * 3 // 8 // (BLOCKS // columns))
        return side - side % 2

    def filter(self):
        """Filters of ffmpeg that leave one pixel of each block: its mean."""
        width, height = self.columns * self.block, self.rows * self.block
        return f"extractplanes=y,crop={width}:{height}:0:ih-{height},scale={self.columns}:{self.rows}:flags=area"


def read(pixels):
    """The number of the frame and the wall clock in milliseconds when it was drawn, from the luma of one pixel a block. `None`
    where the checksum does not match."""
    bits = 0
    for pixel in pixels:
        bits = bits << 1 | (pixel >= WHITE)
    said = bits.to_bytes(BLOCKS // 8, "big")
    if binascii.crc_hqx(said[:10], 0xFFFF) != int.from_bytes(said[10:], "big"):
        return None
    return int.from_bytes(said[:4], "big"), int.from_bytes(said[4:10], "big")
