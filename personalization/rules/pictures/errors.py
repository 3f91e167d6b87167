"""Why a picture is refused; messages are sentences about the form, never about what is seen."""


class PictureError(ValueError):
    """Base of this package's errors."""


class WrongType(PictureError):
    """The bytes are not of the stated type."""


class PictureDamaged(PictureError):
    """The bytes begin like their type but do not decode in full."""


class PictureTooLarge(PictureError):
    """The picture declares more pixels than allowed; it was not decoded."""
