#!/usr/bin/env python3
"""Holds real lines of the access log (sample.json) against the index template, the saved searches and the recipes."""

import ipaddress
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from datetime import datetime

import duckdb

HERE = pathlib.Path(__file__).resolve().parent
LINES = [json.loads(line) for line in (HERE / "sample.json").read_text().splitlines()]
TEMPLATE = json.loads((HERE / "index-template.json").read_text())


def types(properties, path=""):
    """The type of each field of a mapping, by its dotted name."""
    for name, field in properties.items():
        if "properties" in field:
            yield from types(field["properties"], f"{path}{name}.")
        else:
            yield f"{path}{name}", field


TYPES = dict(types(TEMPLATE["template"]["mappings"]["properties"]))


def leaves(value, path=""):
    for name, each in value.items():
        if isinstance(each, dict):
            yield from leaves(each, f"{path}{name}.")
        else:
            yield f"{path}{name}", each


def whole(bits):
    return lambda value: type(value) is int and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)


def is_text(value):
    return isinstance(value, str)


FITS = {
    "boolean": lambda value: isinstance(value, bool),
    "constant_keyword": is_text,
    "date": lambda value: datetime.fromisoformat(value),
    "float": lambda value: type(value) in (int, float),
    "ip": lambda value: ipaddress.ip_address(value),
    "keyword": is_text,
    "long": whole(64),
    "short": whole(16),
    "wildcard": is_text,
}


def every_field_of_every_line_has_a_type_that_fits():
    for line in LINES:
        for name, value in leaves(line):
            assert name in TYPES, f"{name} is not in the index template"
            field = TYPES[name]
            assert FITS[field["type"]](value), f"{name}: {value!r} is no {field['type']}"
            assert value == field.get("value", value), f"{name}: {value!r}"


def the_sample_has_every_kind_of_line():
    fates = {line["tidegate"]["fate"] for line in LINES}
    assert {"hit", "miss", "pass", "refused", "failed"} <= fates, fates
    assert any("method" not in line["http"].get("request", {}) for line in LINES), "no unreadable request"
    assert any(line["tidegate"].get("broken") for line in LINES), "no broken transfer"
    assert any("cmcd" in line for line in LINES), "no player's report"


def every_documented_field_has_a_type():
    page = (HERE.parent.parent / "docs/observing.md").read_text()
    table = page.split("| field | meaning |")[2].split("\n\n")[0]
    missing = []
    for row in table.splitlines()[2:]:
        names = re.findall(r"`([@.\w]+)`", row.split("|")[1])
        prefix = names[0].rsplit(".", 1)[0] if names else ""
        for name in names:
            full = prefix + name if name.startswith(".") else name
            if full not in TYPES and not any(known.endswith(full.removeprefix(prefix)) for known in TYPES):
                missing.append(full)
    assert not missing, missing


def saved_searches_name_fields_that_exist():
    made = subprocess.run([sys.executable, HERE / "kibana.py"], capture_output=True, text=True, check=True).stdout
    assert made == (HERE / "kibana.ndjson").read_text(), "kibana.ndjson differs from kibana.py"
    for line in made.splitlines():
        attributes = json.loads(line)["attributes"]
        query = json.loads(attributes.get("kibanaSavedObjectMeta", {}).get("searchSourceJSON", "{}"))
        named = re.findall(r"([a-z_]+(?:\.[a-z_]+)+) (?::|>=)", query.get("query", {}).get("query", ""))
        unknown = [name for name in [*attributes.get("columns", []), *named] if name not in TYPES]
        assert not unknown, unknown


def duckdb_reports_what_the_lines_say():
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(HERE / "sample.json", f"{folder}/access.json")
        os.chdir(folder)
        # Comments have semicolons of their own.
        text = "\n".join(line for line in (HERE / "report.sql").read_text().splitlines() if not line.startswith("--"))
        statements = [each for each in text.split(";") if each.strip()]
        results = [duckdb.execute(each).fetchall() for each in statements]
        os.chdir(HERE)
    assert sum(row[1] for row in results[1]) == len(LINES), results[1]
    assert sum(row[3] for row in results[1]) == sum(
        line["http"]["response"].get("status_code", 0) >= 500 for line in LINES
    ), results[1]
    assert {row[0] for row in results[3]} == {line["tidegate"]["fate"] for line in LINES}, results[3]


def goaccess_reads_every_line():
    with open(HERE / "sample.json") as lines:
        combined = subprocess.run([HERE / "combined.sh"], stdin=lines, capture_output=True, text=True, check=True).stdout
    assert len(combined.splitlines()) == len(LINES), combined
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = ["goaccess", "--log-format=COMBINED", "--no-global-config", "-o", report.name, "-"]
        subprocess.run(command, input=combined, text=True, check=True, capture_output=True)
        general = json.load(open(report.name))["general"]
    assert (general["valid_requests"], general["failed_requests"]) == (len(LINES), 0), general


TESTS = [
    every_field_of_every_line_has_a_type_that_fits,
    the_sample_has_every_kind_of_line,
    every_documented_field_has_a_type,
    saved_searches_name_fields_that_exist,
    duckdb_reports_what_the_lines_say,
    goaccess_reads_every_line,
]

if __name__ == "__main__":
    for test in TESTS:
        test()
        print(f"  {test.__name__.replace('_', ' ')}", file=sys.stderr)
