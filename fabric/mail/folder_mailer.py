"""Mailer into a folder of .eml files, for a fabric without an SMTP server: mail programs open them."""

import asyncio
import os
from pathlib import Path

from fabric.mail.mailer import Mail, MailUnavailable, message_of

FILES_MAX = 1000
"""Of the files in the folder the oldest go."""


class FolderMailer:
    """Keeps every mail promise; a mail that is sent twice is one file."""

    def __init__(self, folder: Path, sender: str) -> None:
        """Write below `folder`, which is made on first use and closed to other users."""
        self._folder, self._sender = folder, sender

    async def send(self, mail: Mail) -> None:
        """Write one file, whole or not at all."""
        content = message_of(mail, self._sender).as_bytes()
        try:
            await asyncio.to_thread(self._write, f"{mail.id}.eml", content)
        except OSError as error:
            raise MailUnavailable(f"the outbox folder cannot be written: {error}") from None

    def _write(self, name: str, content: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = self._folder / f".{name}.part"
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        unfinished.replace(self._folder / name)
        for old in sorted(self._folder.glob("*.eml"))[:-FILES_MAX]:  # ids grow with time
            old.unlink(missing_ok=True)
