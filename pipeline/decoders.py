"""Which decoder an input's records take."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from features.catalog import InputSpec
from features.columns import Columns
from pipeline.decode import Decoded, EventDecoder
from pipeline.frame_decode import FrameDecoder


class RecordDecoder(Protocol):
    """From records to columns, good rows and bad ones side by side."""

    def decode(
        self,
        payload_address: NDArray[np.int64],
        payload_length: NDArray[np.int64],
        columns: Columns,
        first_row: int,
        n: int,
        pointers: NDArray[np.int64],
        /,
    ) -> Decoded:
        """Fill rows [first_row, first_row + n) of `columns` from the first n records.

        `pointers` are the addresses of their messages, for what is in headers.
        """
        ...


def decoder_of(spec: InputSpec, value_bytes_max: int) -> RecordDecoder:
    """The decoder of an input's format."""
    if spec.image is not None:
        return FrameDecoder(spec.schema_, spec.image, value_bytes_max)
    return EventDecoder(spec.schema_, value_bytes_max)
