"""What can go wrong with a hardware security module, in the words of the engine's three failures."""


class HsmError(Exception):
    """Base of this room's errors; messages never hold key material or PINs."""


class HsmUnavailable(HsmError):
    """The module, token or session is not there (now): try again later, with a new session."""


class PinRefused(HsmError):
    """The token refused the PIN: the line must halt, since further tries lock the token."""


class SessionMisused(HsmError):
    """A second session, thread or forked process used the HSM: a fault of the program, the line must halt."""


class KeyNotFound(HsmError):
    """No key with this label: the line must halt, keys and configuration disagree."""


class KeyAlreadyExists(HsmError):
    """A ceremony would make a second key under a label that is taken."""


class KeyLetterRefused(HsmError):
    """A key letter's wrapped key does not open or its check value differs."""


class WrappedKeyDamaged(HsmError):
    """A wrapped blob does not unwrap under its key."""


class SignatureMismatch(HsmError):
    """A signature came back that does not verify under the public key: the line must halt."""
