"""Which holds there are: set and lifted one by one, so that lifting one never lifts another."""

from models.control import (
    MANUAL_HOLD,
    ControlChange,
    ControlState,
    Hold,
    HoldCommand,
    HoldKind,
    Recall,
)


class Holds:
    """The holds and their version. Times are ISO 8601 UTC and come from the caller."""

    def __init__(self, state: ControlState, unrecorded: tuple[ControlChange, ...] = ()) -> None:
        self.version = state.version
        self.unrecorded = list(unrecorded)
        self._holds = {hold.key: hold for hold in state.holds}

    @property
    def state(self) -> ControlState:
        """What counts now."""
        holds = tuple(self._holds.values())
        paused = any(hold.everything for hold in holds)
        return ControlState(paused=paused, version=self.version, holds=holds)

    def set(self, command: HoldCommand, at: str) -> bool:
        """Set or replace a hold. True when something that was held no longer may be."""
        key = self._key(command)
        old = self._holds.get(key)
        new = hold_of(command.model_copy(update={"key": key}), at)
        if old is not None and old.model_copy(update={"at": at}) == new:
            return False
        self._holds[key] = new
        self._changed(new, command, at, lifted=False)
        return old is not None

    def lift(self, command: HoldCommand, at: str) -> bool:
        """Lift the hold of the same key and kind; False when there is none."""
        hold = self._holds.pop(self._key(command), None)
        if hold is None:
            return False
        self._changed(hold, command, at, lifted=True)
        return True

    def in_words(self) -> str:
        """The state for people, as Markdown."""
        state = self.state
        head = "Trading is open."
        if state.holds:
            head = "Trading is open but for what is held:"
        if state.paused:
            head = "Paused: no order is placed."
        return "  \n".join([head, *(_words(hold) for hold in state.holds)])

    def _key(self, command: HoldCommand) -> str:
        """The hold's key; a program never gets hold of a person's, nor of another kind's."""
        held = self._holds.get(command.key)
        manual = command.key.partition(":")[0] == MANUAL_HOLD
        foreign = manual if held is None else held.kind is not command.kind
        if foreign and (held is not None or command.kind is not HoldKind.MANUAL):
            return f"{command.kind.value.lower()}:{command.key}"
        return command.key

    def _changed(self, hold: Hold, command: HoldCommand, at: str, *, lifted: bool) -> None:
        self.version += 1
        self.unrecorded.append(
            ControlChange(
                version=self.version,
                hold=hold,
                lifted=lifted,
                who=command.who,
                reason=command.reason,
                at=at,
            )
        )


def hold_of(command: HoldCommand, at: str) -> Hold:
    """The hold a command asks for."""
    return Hold(
        key=command.key,
        kind=command.kind,
        reason=command.reason,
        who=command.who,
        at=at,
        side=command.side,
        symbol=command.symbol,
    )


def recall_of(command: HoldCommand, version: int, at: str) -> Recall:
    """What a command that also cancels calls back."""
    return Recall(
        version=version,
        at=at,
        side=command.side,
        symbol=command.symbol,
        reason=command.reason,
        who=command.who,
    )


def _words(hold: Hold) -> str:
    scope = " ".join(part for part in (hold.symbol, hold.side.value if hold.side else "") if part)
    who = f" by {hold.who}" if hold.who else ""
    reason = f": {hold.reason}" if hold.reason else ""
    return f"- {scope or 'all trading'} held since {hold.at[:19]}Z ({hold.key}{who}){reason}"
