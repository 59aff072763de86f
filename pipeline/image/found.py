"""What reading an image's structure finds: the numbers of its header, or the fault at which reading stopped."""

from enum import IntEnum

FIELDS = WIDTH, HEIGHT, CHANNELS, BITS, KIND, ORIENTATION, SCANS, AT, VALUE, STORED, INTERLACED = range(11)
"""Where in an int64 array each finding lies. KIND is a JPEG's frame marker or a PNG's colour type; ORIENTATION is
EXIF's, 1 where there is none; AT is the byte a fault was met at and VALUE what stood there; STORED is how many bytes
of a PNG's compressed pixels were gathered."""

SCANS_MAX = 32
"""The scans a JPEG may have. An encoder makes 1 or about 10; each costs a pass over all pixels, whatever it holds."""
SIDE_MAX = 65_535
"""The most pixels a side may have: a JPEG cannot say more, a PNG may not."""


class Fault(IntEnum):
    """Why reading stopped; 0 is no fault."""

    NONE = 0
    HEADER_ENDS = 1
    DATA_ENDS = 2
    NO_MARKER = 3
    BAD_LENGTH = 4
    STRAY_MARKER = 5
    SECOND_FRAME = 6
    NO_FRAME = 7
    FRAME_KIND = 8
    FRAME_BITS = 9
    COMPONENTS = 10
    NO_AREA = 11
    BAD_SCAN = 12
    SCANS = 13
    SCANS_MISSING = 14
    SIDE = 15
    NO_IHDR = 20
    CHECKSUM = 21
    COLOUR_TYPE = 22
    METHOD = 23
    CRITICAL = 24
    ORDER = 25
    ANIMATED = 26
    NO_PALETTE = 27


TRUNCATED, CORRUPT, UNSUPPORTED = "truncated-image", "corrupt-image", "unsupported-image"
FAULTS = {
    Fault.HEADER_ENDS: ("truncated-header", "ends at byte {at}, before its width and height"),
    Fault.DATA_ENDS: (TRUNCATED, "ends at byte {at}, before the end of its picture"),
    Fault.NO_MARKER: (CORRUPT, "has {value:#04x} at byte {at}, expected a marker (0xff)"),
    Fault.BAD_LENGTH: (CORRUPT, "has a part of {value} bytes at byte {at}, which its kind cannot have"),
    Fault.STRAY_MARKER: (CORRUPT, "has marker {value:#04x} at byte {at}, where it cannot stand"),
    Fault.SECOND_FRAME: (CORRUPT, "has a second frame header at byte {at}, expected one size for one picture"),
    Fault.NO_FRAME: (CORRUPT, "ends or has a scan at byte {at}, before its width and height"),
    Fault.FRAME_KIND: (
        UNSUPPORTED,
        "is of frame type {kind:#04x} (lossless, hierarchical or arithmetic), expected baseline or progressive",
    ),
    Fault.FRAME_BITS: (UNSUPPORTED, "has {bits} bits a sample, expected 8"),
    Fault.COMPONENTS: (
        UNSUPPORTED,
        "has {channels} components (4 are CMYK or YCCK, whose colours depend on a press), "
        "expected 1 (grey) or 3 (colour)",
    ),
    Fault.NO_AREA: (CORRUPT, "is {width} x {height} pixels, expected one at least"),
    Fault.BAD_SCAN: (CORRUPT, "has a scan at byte {at} that names what the frame has not"),
    Fault.SCANS: (UNSUPPORTED, f"has more than {SCANS_MAX} scans, expected the about 10 that an encoder makes"),
    Fault.SCANS_MISSING: (TRUNCATED, "ends before the last scan of each of its components"),
    Fault.SIDE: ("too-many-pixels", f"is {{width}} x {{height}} pixels, expected sides of {SIDE_MAX} at most"),
    Fault.NO_IHDR: (CORRUPT, "does not begin with an IHDR chunk of 13 bytes"),
    Fault.CHECKSUM: (CORRUPT, "has a chunk at byte {at} whose checksum differs"),
    Fault.COLOUR_TYPE: (CORRUPT, "has colour type {kind} with {bits} bits, expected a pair that PNG knows"),
    Fault.METHOD: (CORRUPT, "has compression, filter or interlacing {value}, expected one that PNG knows"),
    Fault.CRITICAL: (UNSUPPORTED, "has a critical chunk at byte {at} that is not of the standard"),
    Fault.ORDER: (CORRUPT, "has a chunk at byte {at} where it cannot stand"),
    Fault.ANIMATED: (UNSUPPORTED, "is animated: which of its frames shows the part cannot be known, expected one"),
    Fault.NO_PALETTE: (CORRUPT, "has a palette's indices and no palette"),
}
"""For each fault the dead letter's code, and what the message says of the image."""


class BadImageError(ValueError):
    """Why a record's value cannot be decided on: a code to count by, and a message for a person."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def fault_error(name: str, fault: int, found: list[int]) -> BadImageError:
    """What to raise for a fault in an image of this format; `found` holds the findings, by FIELDS."""
    code, text = FAULTS[Fault(fault)]
    said = text.format(
        width=found[WIDTH], height=found[HEIGHT], channels=found[CHANNELS], bits=found[BITS], kind=found[KIND],
        at=found[AT], value=found[VALUE],
    )  # fmt: skip
    return BadImageError(code, f"the {name} {said}")
