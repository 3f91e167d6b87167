"""Document numbers: each profile draws from ranges of its own; a number is never used again."""

from sqlalchemy import Connection, insert, select, update

from card_profiles.model import CardProfile
from personalization.errors import Halt
from personalization.store.tables import number_range

LAST_NUMBER = 9_999_999


class NumbersExhausted(Halt):
    """A document number range is used up: the centre must be given a new one."""

    def __init__(self, sentence: str) -> None:
        super().__init__("numbers-exhausted", sentence)


def take_number(connection: Connection, profile: CardProfile) -> str:
    """The next document number of the profile's ranges; a number is never used again. Raises `NumbersExhausted`."""
    for prefix in profile.number_prefixes:
        row = connection.execute(select(number_range).where(number_range.c.prefix == prefix).with_for_update()).first()
        number = row.next_number if row else 1
        if number > LAST_NUMBER:
            continue
        if row is None:
            connection.execute(insert(number_range).values(prefix=prefix, next_number=number + 1))
        else:
            connection.execute(
                update(number_range).where(number_range.c.prefix == prefix).values(next_number=number + 1)
            )
        return f"{prefix}{number:07d}"
    raise NumbersExhausted(f"the document number ranges of profile {profile.id} are used up")
