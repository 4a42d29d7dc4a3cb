"""Pure: the words of the mails that accounts send. Each is a subject and a body."""

from urllib.parse import quote

Letter = tuple[str, str]

IGNORE = "If that was not you, you need not do anything."
CHANGED = "If that was not you, reset your password at once, end all sessions and delete API keys that you do not know."

PASSWORD_CHANGED: Letter = (
    "Your password was changed",
    f"The password of your Fabric account was changed, and every session was ended.\n\n{CHANGED}\n",
)
SECOND_FACTOR_ON: Letter = (
    "A second factor is on",
    f"From now on logging in to your Fabric account asks for a code of your authenticator app.\n\n{CHANGED}\n",
)
SECOND_FACTOR_OFF: Letter = (
    "The second factor is off",
    f"Logging in to your Fabric account does not ask for a second factor any more.\n\n{CHANGED}\n",
)
ACCOUNT_DELETED: Letter = (
    "Your account is deleted",
    "Your Fabric account is deleted. What the books must keep is kept under a number that says nothing of you.\n",
)


def verification(public_url: str, token: str) -> Letter:
    """Asks whether an address is really its user's."""
    return "Confirm your e-mail address", (
        f"Somebody, probably you, uses this address for a Fabric account. Confirm it here:\n\n"
        f"{_page(public_url, 'confirm', token)}\n\nor with\n\n    fabric account confirm {token}\n\n{IGNORE}\n"
    )


def address_change(public_url: str, token: str) -> Letter:
    """Asks the new address whether it shall become a user's."""
    return "Confirm your new e-mail address", (
        f"Somebody, probably you, wants to use this address for a Fabric account from now on. Confirm it here:\n\n"
        f"{_page(public_url, 'confirm', token)}\n\nor with\n\n    fabric account confirm {token}\n\n"
        f"Until then nothing changes. {IGNORE}\n"
    )


def address_changing(new_email: str) -> Letter:
    """Tells the present address that it is about to be replaced."""
    return "Your e-mail address is about to change", (
        f"The address of your Fabric account shall become {new_email}, once that is confirmed.\n\n{CHANGED}\n"
    )


def address_changed(new_email: str) -> Letter:
    """Tells the former address."""
    return "Your e-mail address was changed", f"The address of your Fabric account is {new_email} now.\n\n{CHANGED}\n"


def password_reset(public_url: str, token: str, minutes: int) -> Letter:
    """Lets somebody who forgot it choose a new password."""
    return "Choose a new password", (
        f"Somebody, probably you, asked for a new password for your Fabric account. Choose one within {minutes} minutes:\n\n"
        f"{_page(public_url, 'reset', token)}\n\nor with\n\n    fabric account reset-password --token {token}\n\n{IGNORE}\n"
    )


def identity_linked(provider: str) -> Letter:
    """Tells that an identity provider opens the account from now on."""
    return f"You can log in with {provider}", (
        f"Your Fabric account was linked with {provider}, which vouched for this address. It opens your account from now on.\n\n"
        f"{CHANGED}\n"
    )


def _page(public_url: str, page: str, token: str) -> str:
    return f"{public_url.rstrip('/')}/account/{page}?token={quote(token)}"
