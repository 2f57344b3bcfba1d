"""What can stop the stream, each with the next command."""

import sys

from core.errors import OutageError, RefusalError, TieoutError

# For executors that lack the stream's code, or have another.
SAME_CHECKOUT = (
    "./scripts/tieout pack --to FILE, and that file in SPARK_PYTHON_ARCHIVE; or set up the same checkout at the same "
    f"path on every machine of SPARK_MASTER ({sys.prefix})"
)


class StreamError(TieoutError):
    """The stream, or the care of its tables, cannot go on."""


class LakeBusyError(StreamError):
    """Another process writes the lake."""


class LeaseLostError(StreamError, OutageError):
    """The session that says who writes a lake elsewhere is gone, or cannot begin."""


class LakeTakenError(StreamError, RefusalError):
    """Another process has taken the lake over from this one."""


class LakeStateError(StreamError, RefusalError):
    """What the lake's tables record does not fit what would be done."""


class TopicRecreatedError(StreamError, RefusalError):
    """The topic of this name is not the one that the lake was filled from."""


class OffsetsLostError(StreamError, RefusalError):
    """The broker no longer has offsets that the lake has not got."""


class OffsetsMissingError(StreamError, RefusalError):
    """A batch lacks offsets that no transaction of a producer explains."""


class PartitionsAddedError(StreamError, OutageError):
    """The topic was given partitions while the stream began; it begins again with them."""


class BrokerError(StreamError):
    """The broker refuses."""


class BrokerAwayError(BrokerError, OutageError):
    """The broker cannot be reached."""


class WarehouseAwayError(StreamError, OutageError):
    """The warehouse does not say how far the loader has come."""


class LakeAwayError(StreamError, OutageError):
    """The store of the lake does not answer."""


class LakeFullError(StreamError):
    """There is no room left for the lake."""
