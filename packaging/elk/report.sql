-- DuckDB: what the edges did, by the minute of the access log.
--   duckdb -c ".read packaging/elk/report.sql"       (reads access.json in the current folder)
CREATE OR REPLACE VIEW log AS
SELECT * FROM read_json('access.json', format = 'newline_delimited', union_by_name = true, columns = {
    '@timestamp': 'TIMESTAMP',
    'http': 'STRUCT(response STRUCT(status_code SMALLINT, body STRUCT(bytes BIGINT)))',
    'url': 'STRUCT("path" VARCHAR)',
    'client': 'STRUCT(ip VARCHAR)',
    'tidegate': 'STRUCT(tier VARCHAR, node VARCHAR, kind VARCHAR, fate VARCHAR, first_byte BIGINT, broken BOOLEAN)',
    'cmcd': 'STRUCT(sid VARCHAR, bl BIGINT, bs BOOLEAN)'
});

-- Requests, hit ratio, errors, Mbit/s and viewers of each minute.
SELECT
    date_trunc('minute', "@timestamp") AS minute,
    count(*) AS requests,
    round(avg((tidegate.fate IN ('hit', 'stale', 'join'))::INT)
        FILTER (tidegate.fate NOT IN ('refused', 'options', 'client-closed')), 3) AS hit_ratio,
    count(*) FILTER (http.response.status_code >= 500) AS errors,
    round(sum(http.response.body.bytes) * 8 / 60e6, 3) AS mbit_s,
    count(DISTINCT coalesce(cmcd.sid, client.ip)) AS viewers,
    count(*) FILTER (cmcd.bs) AS starved
FROM log GROUP BY 1 ORDER BY 1;

-- The streams with most viewers.
SELECT
    regexp_replace(url.path, '/[^/]*$', '') AS stream,
    count(DISTINCT coalesce(cmcd.sid, client.ip)) AS viewers,
    round(sum(http.response.body.bytes) / 1e6, 1) AS megabytes
FROM log GROUP BY 1 ORDER BY viewers DESC, megabytes DESC LIMIT 20;

-- Time to first byte by fate, in milliseconds.
SELECT
    tidegate.fate AS fate,
    count(*) AS requests,
    round(quantile_cont(tidegate.first_byte, 0.5) / 1e6, 2) AS p50_ms,
    round(quantile_cont(tidegate.first_byte, 0.95) / 1e6, 2) AS p95_ms
FROM log GROUP BY 1 ORDER BY requests DESC;
