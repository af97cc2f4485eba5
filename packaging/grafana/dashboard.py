#!/usr/bin/env python3
"""Writes the Grafana dashboard from the metrics in docs/observing.md: packaging/grafana/dashboard.py > tidegate.json"""

import json

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import BigValueColorMode, StackingMode, VisibilityMode

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
# What the variables at the top of the dashboard select.
NODES = 'job=~"$job",tier=~"$tier",node=~"$node"'
EDGES = 'job=~"$job",tier="edge",node=~"$node"'
SHIELDS = 'job=~"$job",tier="shield",node=~"$node"'


def rate(metric, by, labels=NODES):
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def quantile(share, metric, labels, by=""):
    groups = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({groups}) (rate({metric}_bucket{{{labels}}}[$__rate_interval])))"


def query(expr, legend, ref="A"):
    return prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref).datasource(SOURCE)


def number(title, description, expr, unit, steps, decimals=None):
    """One number, coloured by thresholds: [(None, "green"), (0.01, "red")]."""
    thresholds = [models.Threshold(value=value, color=color) for value, color in steps]
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .height(4)
        .span(4)
        .color_mode(BigValueColorMode.BACKGROUND)
        .thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(thresholds))
        .with_target(query(expr, ""))
    )
    return panel if decimals is None else panel.decimals(decimals)


def graph(title, description, unit, *queries, stacked=False, maximum=None):
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .height(8)
        .span(12)
        .fill_opacity(25 if stacked else 0)
        .show_points(VisibilityMode.NEVER)
        .stacking(common.StackingConfig().mode(StackingMode.NORMAL if stacked else StackingMode.NONE))
    )
    if maximum is not None:
        panel = panel.max(maximum)
    for ref, (expr, legend) in zip("ABCDEFGH", queries, strict=False):
        panel = panel.with_target(query(expr, legend, ref))
    return panel


GREEN, ORANGE, RED, BLUE = "green", "orange", "red", "blue"


def summary():
    requests = f"sum(rate(tidegate_requests_total{{{EDGES}}}[$__rate_interval]))"
    errors = f'sum(rate(tidegate_requests_total{{{EDGES},status_class="5xx"}}[$__rate_interval]))'
    waited_for = f'{EDGES},fate!~"refused|options|client-closed"'
    hits = f'sum(rate(tidegate_requests_total{{{EDGES},fate=~"hit|stale|join"}}[$__rate_interval]))'
    sent = f"sum(rate(tidegate_origin_requests_total{{{SHIELDS}}}[$__rate_interval]))"
    needed = f"sum(rate(tidegate_origin_requests_needed_total{{{SHIELDS}}}[$__rate_interval]))"
    yield number("Viewers' connections", "Open connections at the edges.",
                 f"sum(tidegate_connections{{{EDGES}}})", "short", [(None, BLUE)])
    yield number("To viewers", "Body bytes of the edges.",
                 f"8 * sum(rate(tidegate_response_body_bytes_total{{{EDGES}}}[$__rate_interval]))", "bps",
                 [(None, BLUE)])
    yield number("Errors", "The share of viewers' requests that end with 5xx.",
                 f"({errors} or vector(0)) / {requests}", "percentunit",
                 [(None, GREEN), (0.001, ORANGE), (0.01, RED)], 2)
    yield number("Hit ratio", "The share of viewers' requests that cost no request of their own.",
                 f"{hits} / sum(rate(tidegate_requests_total{{{waited_for}}}[$__rate_interval]))", "percentunit",
                 [(None, RED), (0.8, ORANGE), (0.95, GREEN)], 1)
    yield number("Playlist age, p95", "The age of live playlists when viewers get them.",
                 quantile(0.95, "tidegate_playlist_age_at_serve_seconds", EDGES), "s",
                 [(None, GREEN), (6, ORANGE), (20, RED)], 1)
    yield number("Origin amplification", "Requests that origins get, for each one that is needed. 1 is perfect.",
                 f"{sent} / {needed}", "none", [(None, GREEN), (1.1, ORANGE), (1.5, RED)], 2)


def viewers():
    first_byte = "tidegate_time_to_first_byte_seconds"
    yield graph("Requests by fate", "What became of viewers' requests.", "reqps",
                (rate("tidegate_requests_total", "fate", EDGES), "{{fate}}"), stacked=True)
    yield graph("Requests by status", "The status class of responses.", "reqps",
                (rate("tidegate_requests_total", "status_class", EDGES), "{{status_class}}"), stacked=True)
    yield graph("Time to first byte, p95", "By fate. Blocked playlist requests count until the playlist is there.",
                "s", (quantile(0.95, first_byte, EDGES, "fate"), "{{fate}}"))
    yield graph("To viewers, by node", "Body bytes.", "bps",
                (f'8 * {rate("tidegate_response_body_bytes_total", "node", EDGES)}', "{{node}}"), stacked=True)
    yield graph("Connections by node", "Open connections from viewers; at shields, from edges.", "short",
                (f"sum by (node) (tidegate_connections{{{NODES}}})", "{{node}}"), stacked=True)
    yield graph("Requests by kind", "Playlists, segments, init sections.", "reqps",
                (rate("tidegate_requests_total", "kind", EDGES), "{{kind}}"), stacked=True)


def live():
    age, lag = "tidegate_playlist_age_at_serve_seconds", "tidegate_playlist_lag_segments"
    yield graph("Playlist age when served", "Of followed live playlists, at the edges.", "s",
                (quantile(0.5, age, EDGES), "p50"), (quantile(0.95, age, EDGES), "p95"),
                (quantile(0.99, age, EDGES), "p99"))
    yield graph("Playlists behind the newest, p95", "Segments, by tier.", "none",
                (quantile(0.95, lag, NODES, "tier"), "{{tier}}"))
    yield graph("Live playlists", "Followed, known and sleeping.", "short",
                (f"sum(tidegate_followed_playlists{{{NODES}}})", "followed"),
                (f"sum(tidegate_known_playlists{{{NODES}}})", "known"),
                (f"sum(tidegate_sleeping_playlists{{{NODES}}})", "sleeping"),
                (f"sum(tidegate_blocked_requests{{{NODES}}})", "blocked requests"))
    yield graph("Trouble with streams", "Playlists that were refused or did not advance, and restarts of encoders.",
                "cps", *[(rate(f"tidegate_{name}_total", "tier"), f"{name.replace('_', ' ')}, {{{{tier}}}}")
                         for name in ("backward_playlists", "frozen_playlists", "stream_restarts")])
    yield graph("Versions and polls", "Versions divided by polls says how well the polls are timed.", "cps",
                (rate("tidegate_playlist_versions_total", "tier"), "versions, {{tier}}"),
                (rate("tidegate_playlist_polls_total", "tier"), "polls, {{tier}}"))
    yield graph("Prefetches", "Announced objects: fetched, used, left unused, not fetched for lack of room.", "cps",
                (rate("tidegate_prefetches_total", "tier"), "fetched, {{tier}}"),
                (rate("tidegate_prefetch_hits_total", "tier"), "used, {{tier}}"),
                (rate("tidegate_prefetch_waste_total", "tier"), "unused, {{tier}}"),
                (rate("tidegate_prefetch_skips_total", "tier"), "skipped, {{tier}}"))


def upstreams():
    yield graph("Upstream requests by outcome", "Of both tiers.", "reqps",
                (rate("tidegate_upstream_requests_total", "tier, outcome"), "{{tier}}: {{outcome}}"), stacked=True)
    yield graph("Upstreams by state", "Summed over the nodes that use them.", "short",
                (f"sum by (tier, state) (tidegate_upstreams{{{NODES}}})", "{{tier}}: {{state}}"))
    yield graph("Failovers, hedges, rescues", "What keeps faults from viewers.", "cps",
                (rate("tidegate_failovers_total", "reason"), "failover: {{reason}}"),
                (rate("tidegate_hedges_total", "tier"), "hedges, {{tier}}"),
                (rate("tidegate_hedges_won_total", "tier"), "hedges won, {{tier}}"),
                (rate("tidegate_rescued_bodies_total", "tier"), "rescued bodies, {{tier}}"),
                (rate("tidegate_retry_budget_exhausted_total", "tier"), "not sent: budget, {{tier}}"))
    yield graph("Requests at upstreams", "In flight and in queues.", "short",
                (f"sum by (tier) (tidegate_upstream_requests_in_flight{{{NODES}}})", "in flight, {{tier}}"),
                (f"sum by (tier) (tidegate_upstream_requests_waiting{{{NODES}}})", "queued, {{tier}}"))
    yield graph("Origin requests", "Sent by shields, and those that would have been enough.", "reqps",
                (rate("tidegate_origin_requests_total", "node", SHIELDS), "sent, {{node}}"),
                (rate("tidegate_origin_requests_needed_total", "node", SHIELDS), "needed, {{node}}"))
    yield graph("Fills by outcome", "Broken ones could not be resumed anywhere.", "cps",
                (rate("tidegate_fills_total", "tier, outcome"), "{{tier}}: {{outcome}}"), stacked=True)


def resources():
    yield graph("Processor", "Cores in use.", "none",
                (rate("process_cpu_seconds_total", "node"), "{{node}}"))
    yield graph("Resident memory", "Without the copies for sendfile, which the system counts as shared.", "bytes",
                (f"sum by (node) (process_resident_memory_bytes{{{NODES}}})", "{{node}}"))
    yield graph("Cache utilization", "Of cache.memory.", "percentunit",
                (f"tidegate_cache_bytes{{{NODES}}} / tidegate_cache_budget_bytes{{{NODES}}}", "{{node}}"), maximum=1)
    yield graph("Objects and evictions", "Keys in the cache, and those evicted per second.", "short",
                (f"sum by (node) (tidegate_cache_objects{{{NODES}}})", "{{node}}"),
                (rate("tidegate_cache_evictions_total", "node"), "evicted per second, {{node}}"))
    yield graph("Descriptors", "Open ones, of those allowed.", "percentunit",
                (f"process_open_fds{{{NODES}}} / process_max_fds{{{NODES}}}", "{{node}}"), maximum=1)
    yield graph("Versions", "Nodes by version.", "short",
                (f"count by (version) (tidegate_build_info{{{NODES}}})", "{{version}}"), stacked=True)


def variable(name, label, metric):
    values = f"label_values({metric}, {name})"
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query(values)
        .datasource(SOURCE)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .current(models.VariableOption(selected=True, text="All", value="$__all"))
    )


def build():
    board = (
        dashboard.Dashboard("Tidegate")
        .uid("tidegate")
        .description("Live HLS through edges and shields: viewers, live edge, upstreams, resources.")
        .tags(["tidegate", "hls", "cdn"])
        .refresh("30s")
        .time("now-1h", "now")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(variable("job", "Job", "tidegate_build_info"))
        .with_variable(variable("tier", "Tier", 'tidegate_build_info{job=~"$job"}'))
        .with_variable(variable("node", "Node", 'tidegate_build_info{job=~"$job",tier=~"$tier"}'))
        .annotation(
            dashboard.AnnotationQuery()
            .name("Restarts")
            .datasource(SOURCE)
            .enable(True)
            .icon_color("orange")
            .expr(f"changes(process_start_time_seconds{{{NODES}}}[1m]) > 0")
        )
    )
    rows = [("In short", summary), ("Viewers", viewers), ("Live edge", live), ("Upstreams", upstreams),
            ("Resources", resources)]
    for title, panels in rows:
        board = board.with_row(dashboard.Row(title))
        for panel in panels():
            board = board.with_panel(panel)
    return board.build()


if __name__ == "__main__":
    # Sorted keys, so that the file changes only where the dashboard does.
    board = json.loads(JSONEncoder(sort_keys=True, indent=2).encode(build()))
    for number_of_panel, panel in enumerate(board["panels"], start=1):
        panel["id"] = number_of_panel
    print(json.dumps(board, indent=2, sort_keys=True))
