#!/bin/sh
# The access log as nginx's "combined", for goaccess and others: combined.sh < access.json | goaccess --log-format=COMBINED -
exec jq -r '
  def field: if . == null then "-" else tostring | gsub("[\"\\\\[:cntrl:]]"; "?") end;
  [ (.client.ip | field), " - - [",
    (.["@timestamp"] | sub("\\.[0-9]+Z$"; "Z") | strptime("%Y-%m-%dT%H:%M:%SZ") | strftime("%d/%b/%Y:%H:%M:%S +0000")),
    "] \"", (.http.request.method | field), " ", (.url.path | field), (if .url.query then "?" + (.url.query | field) else "" end),
    " HTTP/", (.http.version | field), "\" ", (.http.response.status_code // 499), " ", .http.response.body.bytes,
    " \"", (.http.request.referrer | field), "\" \"", (.user_agent.original | field), "\""
  ] | map(tostring) | join("")'
