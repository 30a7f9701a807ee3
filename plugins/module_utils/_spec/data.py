# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What is said of a secret, a config and the credentials for a registry, apart from the data itself, which stands
beside these records and never in them.
"""

from __future__ import annotations

import dataclasses

from .codecs import LABELS, STR
from .fields import Inline, opt

GOLANG = "golang"


@dataclasses.dataclass(frozen=True)
class Templating:
    name: str | None = opt(
        "Name",
        STR,
        "Template language of the data; none takes the data as it is.",
        option="template_driver",
        choices=(GOLANG,),
    )
    options: dict[str, str] = opt("Options", LABELS, "Options of the template language.", option="")


@dataclasses.dataclass(frozen=True)
class SecretSpec:
    REFUSED = {"Driver": "secret drivers are plugins, which queenright does not run"}

    name: str | None = opt("Name", STR, "Name of the secret.", option="")
    labels: dict[str, str] = opt("Labels", LABELS, "Labels of the secret.", always={})
    templating: Templating = opt("Templating", Inline(Templating), "Template language.", since=(1, 37))


@dataclasses.dataclass(frozen=True)
class ConfigSpec:
    name: str | None = opt("Name", STR, "Name of the config.", option="")
    labels: dict[str, str] = opt("Labels", LABELS, "Labels of the config.", always={})
    templating: Templating = opt("Templating", Inline(Templating), "Template language.", since=(1, 37))


@dataclasses.dataclass(frozen=True)
class RegistrySpec:
    """Credentials that all nodes use for the images of one registry."""

    server: str | None = opt("Server", STR, "Host, and port if there is one, of the registry.", option="")
    username: str | None = opt("Username", STR, "User that the credentials are of.")
