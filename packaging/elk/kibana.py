#!/usr/bin/env python3
"""Writes Kibana's saved objects, for Stack Management > Saved Objects > Import: elk/kibana.py > kibana.ndjson"""

import json

VIEW = "tidegate-access"


def saved(kind, name, attributes, *references):
    return {"id": name, "type": kind, "attributes": attributes, "references": list(references)}


def view_reference(name):
    return {"id": VIEW, "name": name, "type": "index-pattern"}


def search(name, title, query, columns):
    source = {
        "query": {"language": "kuery", "query": query},
        "filter": [],
        "indexRefName": "kibanaSavedObjectMeta.searchSourceJSON.index",
    }
    attributes = {
        "title": title,
        "columns": columns,
        "sort": [["@timestamp", "desc"]],
        "kibanaSavedObjectMeta": {"searchSourceJSON": json.dumps(source)},
    }
    return saved("search", name, attributes, view_reference("kibanaSavedObjectMeta.searchSourceJSON.index"))


REQUEST = ["tidegate.node", "tidegate.fate", "http.response.status_code", "url.path", "tidegate.upstream"]
OBJECTS = [
    saved("index-pattern", VIEW, {
        "title": "logs-tidegate.access-*",
        "name": "Tidegate: access log",
        "timeFieldName": "@timestamp",
    }),
    search("tidegate-errors", "Tidegate: errors that viewers saw",
           'tidegate.tier : "edge" and http.response.status_code >= 500', [*REQUEST, "tidegate.error", "client.ip"]),
    search("tidegate-broken", "Tidegate: transfers that broke", "tidegate.broken : true",
           [*REQUEST, "http.response.body.bytes", "event.duration"]),
    search("tidegate-starved", "Tidegate: players that ran out of buffer", "cmcd.bs : true",
           ["cmcd.sid", "cmcd.bl", "cmcd.mtp", "cmcd.br", "url.path", "tidegate.node", "client.ip"]),
    search("tidegate-misses", "Tidegate: edge requests that were no hits",
           'tidegate.tier : "edge" and not tidegate.fate : ("hit" or "stale" or "join" or "options" or "refused")',
           [*REQUEST, "tidegate.first_byte"]),
]

if __name__ == "__main__":
    for each in OBJECTS:
        print(json.dumps(each, sort_keys=True))
