# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from queenright.edge.docker.description import read_info
from queenright.model.objects import GenericResource, NodeDescription


def test_the_machine_is_read_from_what_the_engine_says() -> None:
    info = {
        "Name": "h1",
        "Architecture": "x86_64",
        "OSType": "linux",
        "NCPU": 2,
        "MemTotal": 4096,
        "ServerVersion": "20.10.24",
        "Labels": ["zone=a", "eq=a=b", "bare"],
        "Plugins": {"Volume": ["local"], "Network": ["host", "bridge"], "Authorization": None, "Log": ["local"]},
    }
    assert read_info(info) == NodeDescription(
        hostname="h1",
        architecture="x86_64",
        os="linux",
        nano_cpus=2_000_000_000,
        memory_bytes=4096,
        engine_version="20.10.24",
        engine_labels={"zone": "a", "eq": "a=b", "bare": ""},
        plugins=("Log/local", "Network/bridge", "Network/host", "Volume/local"),
    )


def test_what_the_engine_does_not_say_is_empty_and_nothing_is_claimed() -> None:
    assert read_info({}) == NodeDescription()
    assert read_info({"Labels": None, "Plugins": None}) == NodeDescription()


def test_generic_resources_are_read_with_their_numbers_and_names() -> None:
    said = [
        {"DiscreteResourceSpec": {"Kind": "SSD", "Value": 3}},
        {"NamedResourceSpec": {"Kind": "GPU", "Value": "UUID1"}},
        {"NamedResourceSpec": {"Kind": "GPU", "Value": 5}},
        {},
    ]
    expected = (GenericResource("SSD", 3), GenericResource("GPU", name="UUID1"))
    assert read_info({"GenericResources": said}).generic_resources == expected
