"""What the simulator answers instead of doing what it was asked."""


class OpenDError(Exception):
    """Root of everything the simulator raises on purpose."""


class Rejected(OpenDError):
    """The venue's answer is no: becomes retType -1 with this sentence as retMsg."""


class BadFrame(OpenDError):
    """Bytes that are no OpenD packet; the connection is closed, as OpenD does."""


class ControlError(OpenDError):
    """The control port refused a command; the sentence says what was wrong with it."""
