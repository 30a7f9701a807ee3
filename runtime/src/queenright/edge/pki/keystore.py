# SPDX-License-Identifier: Apache-2.0
"""The node's key and certificates on disk, in the directory ``certificates`` of the state directory.

``swarm-root-ca.crt`` (0644), ``swarm-node.crt`` (0644, the chain) and ``swarm-node.key`` (0600). Key and certificate
are replaced as a pair: the new certificate is put beside the old one, then the key is renamed into place, then the
certificate; a power cut in between is finished at the next load. ``swarm-join.key`` (0600) is the key of a join that
has not succeeded yet. The root's key is never here. Where managers are locked (``locking``), both keys are encrypted.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path

from queenright.edge.pki.errors import KeyStoreError, PkiError
from queenright.edge.pki.keys import (
    encrypt_key,
    is_encrypted,
    key_digest,
    load_key,
    make_key,
    open_key,
    public_key_digest,
)
from queenright.edge.pki.locking import Lock
from queenright.edge.pki.peer import read_chain
from queenright.edge.pki.private_files import check_owner, read, refuse_link
from queenright.lib import atomic

_PUBLIC = 0o644
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class NodeCredentials:
    """What a member proves itself with (all PEM): its key, its certificate chain and the cluster's root."""

    key_pem: bytes = field(repr=False)
    chain_pem: bytes
    root_pem: bytes


class KeyStore:
    """The directory ``certificates``. One process at a time; all calls are short and blocking.

    Every method raises KeyStoreError for what is unsafe or damaged, and OSError when the disk fails.
    """

    def __init__(self, directory: Path, lock: Lock | None = None) -> None:
        self.directory = directory
        self._lock = lock
        self.root_path = directory / "swarm-root-ca.crt"
        self.certificate_path = directory / "swarm-node.crt"
        self.key_path = directory / "swarm-node.key"
        self._staged_path = directory / ".swarm-node.crt"
        self._pending_path = directory / "swarm-join.key"

    def load(self) -> NodeCredentials | None:
        """The member's key, chain and root, or None where this host has none.

        Finishes a replacement that a crash cut short. Raises KeyStoreError when key and certificate do not belong
        together.
        """
        if not self._directory_is_safe():
            return None
        key, chain, staged = self._key(self.key_path), self._file(self.certificate_path), self._file(self._staged_path)
        if key is None and chain is None:
            self._remove(self._staged_path)  # a first certificate whose key was never put in place
            return None
        if key is None:
            raise KeyStoreError(f"{self.key_path} is missing: restore it, or leave the swarm and join again")
        if chain is not None and _belong(key, chain):
            self._remove(self._staged_path)
        elif staged is not None and _belong(key, staged):
            chain = staged
            self._staged_path.rename(self.certificate_path)
            atomic.sync_directory(self.directory)
        else:
            raise KeyStoreError(
                f"{self.certificate_path} is missing, damaged or does not belong to {self.key_path}: restore both, or "
                "leave the swarm and join again"
            )
        root = self.root()
        if root is None:
            raise KeyStoreError(f"{self.root_path} is missing: restore it, or leave the swarm and join again")
        return NodeCredentials(key, chain, root)

    def root(self) -> bytes | None:
        """The exact bytes of the cluster's root certificate, None where there is none."""
        return self._file(self.root_path) if self._directory_is_safe() else None

    def save(self, credentials: NodeCredentials) -> None:
        """Put root, key and certificate in place, durably; a key pending for a join is done with.

        Raises PkiError before anything is written when key and certificate do not belong together.
        """
        if not _belong(credentials.key_pem, credentials.chain_pem):
            raise PkiError("the certificate does not belong to the private key")
        read_chain(credentials.root_pem)
        self._make_directory()
        for path in (self.root_path, self._staged_path, self.key_path, self.certificate_path):
            refuse_link(path)
        if self._file(self.root_path) != credentials.root_pem:
            atomic.replace_file(self.root_path, credentials.root_pem, mode=_PUBLIC)
        atomic.replace_file(self._staged_path, credentials.chain_pem, mode=_PUBLIC)
        self._put_key(self.key_path, credentials.key_pem)
        self._staged_path.rename(self.certificate_path)
        atomic.sync_directory(self.directory)
        self._remove(self._pending_path)

    def pending_key(self) -> bytes:
        """The key of a join that has not succeeded yet (PEM): made at the first call, the same one until then."""
        self._make_directory()
        key = self._key(self._pending_path)
        if key is None:
            key = make_key()
            self._put_key(self._pending_path, key)
        load_key(key, str(self._pending_path))
        return key

    def pending_key_digest(self) -> str:
        """``sha256:<hexadecimal>`` of the pending key's public half; makes the key where there is none."""
        return key_digest(self.pending_key())

    def discard_pending_key(self) -> None:
        """Forget the pending key: the next join begins with a new one."""
        if self._directory_is_safe():
            self._remove(self._pending_path)

    def wipe(self) -> None:
        """Remove key, certificate, root and pending key: this host is no member any more."""
        if not self._directory_is_safe():
            return
        for path in (self.key_path, self._pending_path, self._staged_path, self.certificate_path, self.root_path):
            self._remove(path)

    def _make_directory(self) -> None:
        if not self._directory_is_safe():
            if not self.directory.parent.exists():
                atomic.private_directory(self.directory.parent)
            self.directory.mkdir(mode=0o755)
            self.directory.chmod(0o755)
            atomic.sync_directory(self.directory.parent)

    def _directory_is_safe(self) -> bool:
        """Whether the directory is there; KeyStoreError when it is something else or others may write in it."""
        try:
            status = self.directory.lstat()
        except FileNotFoundError:
            return False
        if not stat.S_ISDIR(status.st_mode):
            raise KeyStoreError(f"{self.directory} is not a directory (or a link to one): move it out of the way")
        check_owner(self.directory, status)
        return True

    def conform(self) -> bool:
        """Encrypt the keys with the lock as it is now, or write them in clear where there is none any more. Whether the
        node's key was not as it is to be."""
        changed = [self._conform(path) for path in (self._pending_path, self.key_path)]
        return changed[-1]

    def _conform(self, path: Path) -> bool:
        held = self._file(path, private=True)
        if held is None or self._is_as_wanted(path, held):
            return False
        key = self._key(path)
        assert key is not None
        self._put_key(path, key)
        return True

    def password(self) -> bytes:
        """What opens the file of the node's key; nothing, if it is in clear. Raises LockedError."""
        return self._passwords(self.key_path)[0] if self._lock is not None and self._lock.engaged else b""

    def _is_as_wanted(self, path: Path, held: bytes) -> bool:
        encrypted, wanted = is_encrypted(held), self._lock is not None and self._lock.engaged
        if not (encrypted and wanted):
            return encrypted == wanted
        return open_key(held, self._passwords(path)[:1]) is not None

    def _put_key(self, path: Path, key_pem: bytes) -> None:
        if self._lock is not None and self._lock.engaged:
            key_pem = encrypt_key(key_pem, self._passwords(path)[0])
        atomic.replace_file(path, key_pem, mode=_PRIVATE)

    def _passwords(self, path: Path) -> list[bytes]:
        return self._lock.passwords(path.name) if self._lock is not None else []

    def _key(self, path: Path) -> bytes | None:
        """In clear. Raises KeyStoreError where it cannot be opened."""
        held = self._file(path, private=True)
        if held is None or not is_encrypted(held):
            return held
        key = open_key(held, self._passwords(path))
        if key is None:
            raise KeyStoreError(
                f"{path} is encrypted, and does not open with the keys of this host's lock: restore all of the state "
                "directory from the same backup, or leave the swarm and join again"
            )
        return key

    def _file(self, path: Path, *, private: bool = False) -> bytes | None:
        """The content of a regular file of ours, None where there is none."""
        return read(path, private=private)

    def _remove(self, path: Path) -> None:
        if path.exists() or path.is_symlink():
            atomic.remove_file(path)


def _belong(key_pem: bytes, chain_pem: bytes) -> bool:
    """Whether the chain's first certificate carries the key's public half; False when either cannot be read."""
    try:
        own = public_key_digest(load_key(key_pem).public_key())
        return public_key_digest(read_chain(chain_pem)[0].public_key()) == own
    except PkiError:
        return False
