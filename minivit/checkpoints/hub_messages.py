"""What goes wrong on the way to the hub, each in one line: what was found, and what to do."""

from contextlib import contextmanager

from ..errors import CheckpointError

ASK = "give token=…, or set HF_TOKEN in the environment"


@contextmanager
def told(hub, name, revision, token):
    """Whatever huggingface_hub raises becomes one CheckpointError."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(message(hub, error, name, revision, token)) from None


def message(hub, error, name, revision, token):
    """The line for an error of huggingface_hub's."""
    errors, where = hub.errors, hub.constants.ENDPOINT
    unanswered = isinstance(error, errors.LocalEntryNotFoundError)
    cause = (error.__cause__ or error) if unanswered else error
    status = getattr(getattr(cause, "response", None), "status_code", None)
    if isinstance(cause, errors.HFValidationError):
        return f"no file or folder {name} is here, and it is no name of the Hugging Face hub: {_reason(cause, token)}"
    if isinstance(cause, errors.RevisionNotFoundError):
        return (f"{name} has no revision {revision!r}: give a branch, a tag or a whole commit that its page at "
                f"{where}/{name} lists, or leave revision out")
    if isinstance(cause, errors.GatedRepoError):
        given = "the token has no access to it" if status == 403 else ASK
        return f"{name} is gated: accept its conditions at {where}/{name}, and {given} (status {status})"
    if isinstance(cause, errors.RepositoryNotFoundError):
        return (f"no file or folder {name} is here, and {where} shows no model of that name (status {status}): mind "
                f"the spelling; for a private model {ASK}")
    if status in (401, 403):
        return f"{where} refuses {name} (status {status}): {ASK}; a token that is set may be wrong or expired"
    if isinstance(cause, errors.OfflineModeIsEnabled):
        return (f"{name} is not whole in the cache {hub.constants.HF_HUB_CACHE}, and HF_HUB_OFFLINE is set: load it "
                "once with HF_HUB_OFFLINE=0")
    if unanswered:
        reason = f"answers with status {status}" if status else f"gives no usable answer ({_reason(cause, token)})"
        return (f"{where} {reason}, and {name} is not whole in the cache {hub.constants.HF_HUB_CACHE}: try again with "
                "a connection")
    return f"the download of {name} failed: {_reason(cause, token)}: load it again, what is whole is kept"


def _reason(error, token):
    """The first line of an error, without the token."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return (text.replace(token, "…") if isinstance(token, str) else text)[:200]
