# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the controller adds to a stack: Compose files as documents, the files they name, data, and who declares it."""

from __future__ import annotations

import base64
import binascii
import getpass
import os
import posixpath
import re
import typing as t

import yaml
from ansible import context
from ansible.errors import AnsibleError
from ansible_collections.queenright.swarm.plugins.plugin_utils._action import ManagerAction, failure
from ansible_collections.queenright.swarm.plugins.plugin_utils._remote import RELAYED, Result

SECTIONS = ("secrets", "configs")
MOST_REF = 4096  # bytes of a file of git that are read
_NUMBER = re.compile(r"[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+")
_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")

Json = t.Dict[str, t.Any]


class SourceError(Exception):
    """Something on the controller cannot be read."""


class StackAction(ManagerAction):
    """Base of the tasks that declare stacks. What is secret goes beside the options, into C(contents)."""

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[Json] = None) -> Result:
        self.vars = task_vars or {}
        if getattr(self._task, RELAYED, False):  # another host's task has read all that there is to be read
            return ManagerAction.run(self, tmp, task_vars)
        try:
            self._task.args = self.prepared(dict(self._task.args))
        except (SourceError, AnsibleError, OSError, yaml.YAMLError) as error:
            return failure("cannot read on the controller: %s" % error)
        return ManagerAction.run(self, tmp, task_vars)

    def prepared(self, given: Json) -> Json:
        """The options as the module gets them."""
        return given

    # -- who declares it

    def noted(self, given: Json) -> Json:
        """With user, playbook and git revision, where the task does not say them."""
        folder = str(self.vars.get("playbook_dir") or "")
        names = (context.CLIARGS or {}).get("args") or ()
        playbook = os.path.basename(str(names[0])) if names else ""
        found = {"user": _user(), "playbook": playbook, "git_revision": git_revision(folder)}
        return dict({key: value for key, value in found.items() if value}, **given)

    # -- files

    def content(self, source: str, folder: t.Optional[str] = None) -> bytes:
        """The bytes of a file that is looked for as that of copy is, decrypted if it is in a vault."""
        path = self._place(source, folder)
        real = self._loader.get_real_file(path, decrypt=True)
        try:
            with open(real, "rb") as file:
                return file.read()
        finally:
            self._loader.cleanup_tmp_file(real)

    def _place(self, source: str, folder: t.Optional[str]) -> str:
        if folder is None:
            return str(self._find_needle("files", source))
        return os.path.join(folder, os.path.expanduser(source))

    def document(self, source: str) -> t.Tuple[Json, str]:
        """A Compose file as JSON values, and the folder that its paths are relative to."""
        path = self._place(source, None)
        found = yaml.load(self.content(source), Loader=self._yaml())  # noqa: S506 - a safe loader, see there
        if not isinstance(found, dict):
            raise SourceError("%s: a Compose file is a mapping" % source)
        return t.cast("Json", plain(found)), os.path.dirname(path)

    def _yaml(self) -> t.Any:
        """A safe loader that reads as Compose does: "22:22" is a text, and a date too. It knows !vault."""
        vault = self._loader._vault

        class Loader(yaml.SafeLoader):
            pass

        kept = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:timestamp")
        Loader.yaml_implicit_resolvers = {
            first: [(tag, pattern) for tag, pattern in rows if tag not in kept]
            for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }
        pattern = re.compile("^(?:%s)$" % _NUMBER.pattern)
        Loader.add_implicit_resolver("tag:yaml.org,2002:int", pattern, list("-+0123456789"))
        Loader.add_constructor("!vault", lambda loader, node: vault.decrypt(node.value).decode("utf-8"))
        return Loader

    def named_files(self, documents: t.List[Json], folder: str, variables: Json) -> Json:
        """What the documents' files hold, in base64, by path, variables put in."""
        found = {}
        for written in named(documents):
            path = _VARIABLE.sub(lambda match: _valued(match, variables), written)
            try:
                found["file:" + path] = encoded(self.content(path, folder))
            except (OSError, AnsibleError) as error:
                raise SourceError("%s, which the Compose file names: %s" % (path, _why(error))) from error
        return found

    # -- data

    def taken_out(self, rows: t.Any, prefix: str, contents: Json) -> t.Any:
        """Secrets or configs by key, without their data, which goes into ``contents``."""
        if not isinstance(rows, dict):
            return rows
        return {key: self._without_data(one, "%s:%s" % (prefix, key), contents) for key, one in rows.items()}

    def _without_data(self, one: t.Any, name: str, contents: Json) -> t.Any:
        if not isinstance(one, dict):
            return one
        ways = [way for way in ("data", "src") if one.get(way) is not None]
        if len(ways) > 1:
            raise SourceError("%s: %s exclude each other" % (name, " and ".join(ways)))
        if ways:
            contents[name] = self._data(one, name)
        return {key: value for key, value in one.items() if key not in ("data", "data_is_b64", "src")}

    def _data(self, one: Json, name: str) -> str:
        if one.get("src") is not None:
            return encoded(self.content(str(one["src"])))
        text = str(one["data"])
        if not one.get("data_is_b64"):
            return encoded(text.encode("utf-8", "surrogateescape"))
        try:
            return encoded(base64.b64decode("".join(text.split()), validate=True))
        except (ValueError, binascii.Error):
            raise SourceError("%s: with data_is_b64 the data must be base64" % name) from None


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def plain(value: t.Any) -> t.Any:
    """The value without anything that is not JSON's; names are texts."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)


def named(documents: t.List[Json]) -> t.List[str]:
    """The files that Compose documents name: of environments, secrets and configs."""
    found = {}  # type: t.Dict[str, None]
    for document in documents:
        for section in SECTIONS:
            for one in _rows(document.get(section)):
                if isinstance(one.get("file"), str):
                    found[one["file"]] = None
        for one in _rows(document.get("services")):
            given = one.get("env_file")
            for path in given if isinstance(given, list) else [given]:
                path = path.get("path") if isinstance(path, dict) else path
                if isinstance(path, str):
                    found[path] = None
    return list(found)


def _rows(section: t.Any) -> t.List[Json]:
    return [one for one in section.values() if isinstance(one, dict)] if isinstance(section, dict) else []


def _valued(match: t.Match[str], variables: Json) -> str:
    name = match.group(1) or match.group(2)
    return "$" if name is None else str(variables.get(name) or "")


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this number
        return ""


def git_revision(folder: str) -> str:
    """The commit that is checked out where the playbook is, or nothing."""
    while folder and not os.path.lexists(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return ""
        folder = above
    try:
        return _revision(os.path.join(folder, ".git")) if folder else ""
    except (OSError, ValueError):
        return ""


def _revision(place: str) -> str:
    if os.path.isfile(place):  # a worktree
        place = os.path.join(os.path.dirname(place), _read(place).partition("gitdir: ")[2])
    head = _read(os.path.join(place, "HEAD"))
    if not head.startswith("ref: "):
        return head if re.match("^[0-9a-f]{40,64}$", head) else ""
    name = head[len("ref: ") :]
    common = os.path.join(place, "commondir")
    homes = [place, os.path.join(place, _read(common))] if os.path.exists(common) else [place]
    for home in homes:
        path = os.path.join(home, posixpath.normpath(name))
        if os.path.exists(path):
            return _read(path)
        packed = os.path.join(home, "packed-refs")
        if os.path.exists(packed):
            with open(packed, encoding="utf-8") as file:
                for line in file:
                    if line.rstrip("\n").endswith(" " + name):
                        return line.split(" ", 1)[0]
    return ""


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read(MOST_REF).strip()
