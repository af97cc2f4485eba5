#!/usr/bin/env python3
"""Runs the chart's pods as processes in network namespaces: 3, 5 and 3 shields behind one headless Service.

Each pod has an address of its own, the init container's command, the container's command and its user. A small
resolver stands for the cluster's: it knows the headless Service by its full name, and pods have Kubernetes' search list.
Needs root, iproute2 and TIDEGATE=path/to/tidegate.
"""

import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import time

import yaml

HERE = pathlib.Path(__file__).resolve().parent
HELM = HERE.parent / "tools/.venv/bin/helm"
TIDEGATE = os.path.abspath(os.environ.get("TIDEGATE", "tidegate"))
PREFIX = f"tidegate{os.getpid()}"
NETWORK = "10.88.17"
FOLDERS = 100
TOKEN = "0123456789abcdef"
SERVICE = "tidegate-shield.live.svc.cluster.local"
RESOLV_CONF = f"nameserver {NETWORK}.1\nsearch live.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"


def sh(*command, **options):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True, **options).stdout


def wait(seconds, what, condition):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.2)


def resolve(addresses):
    """Answers A queries for the names in a file with their addresses, others with NXDOMAIN."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((f"{NETWORK}.1", 53))
    while True:
        query, client = server.recvfrom(512)
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += query[at] + 1
        question = query[12 : at + 5]
        names = json.loads(pathlib.Path(addresses).read_text())
        known = ".".join(labels).lower() in names
        is_a = struct.unpack("!H", query[at + 1 : at + 3])[0] == 1
        found = names[".".join(labels).lower()] if known and is_a else []
        records = [b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton(each) for each in found]
        head = query[:2] + struct.pack("!HHHHH", 0x8580 if known else 0x8583, 1, len(records), 0, 0)
        server.sendto(head + question + b"".join(records), client)


class Cluster:
    """A bridge in a namespace of its own, and a namespace for each pod."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.chmod(0o755)
        self.hub = f"{PREFIX}-hub"
        self.names, self.processes = [], {}
        self.namespace(self.hub)
        sh("ip", "-n", self.hub, "link", "add", "br0", "type", "bridge")
        sh("ip", "-n", self.hub, "addr", "add", f"{NETWORK}.1/24", "dev", "br0")
        sh("ip", "-n", self.hub, "link", "set", "br0", "up")
        # The Secret's volume: written before any pod reads it.
        self.token = self.folder / "token"
        self.token.write_text(TOKEN)
        self.addresses = self.folder / "addresses"
        self.addresses.write_text("{}")
        command = ["ip", "netns", "exec", self.hub, sys.executable, __file__, "--resolver", self.addresses]
        self.processes["resolver"] = subprocess.Popen(command)

    def namespace(self, name):
        sh("ip", "netns", "add", name)
        self.names.append(name)
        sh("ip", "-n", name, "link", "set", "lo", "up")
        etc = pathlib.Path("/etc/netns", name)
        etc.mkdir(parents=True)
        (etc / "resolv.conf").write_text(RESOLV_CONF)

    def start(self, pod, number, command, stdout):
        name = f"{PREFIX}-{pod}"
        self.namespace(name)
        sh("ip", "link", "add", f"v{number}", "netns", self.hub, "type", "veth", "peer", "eth0", "netns", name)
        sh("ip", "-n", self.hub, "link", "set", f"v{number}", "master", "br0", "up")
        sh("ip", "-n", name, "addr", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
        sh("ip", "-n", name, "link", "set", "eth0", "up")
        user = ["setpriv", "--reuid", "65532", "--regid", "65532", "--clear-groups", "--no-new-privs"]
        with open(self.folder / stdout, "w") as out, open(self.folder / f"{pod}.log", "w") as log:
            run = ["ip", "netns", "exec", name, *user, *map(str, command)]
            self.processes[pod] = subprocess.Popen(run, stdout=out, stderr=log)

    def fetch(self, address, *options):
        """A request from outside of the pod, as the kubelet's and a viewer's."""
        return sh("ip", "netns", "exec", self.hub, "curl", "-sf", "--max-time", "5", *options, address)

    def succeeds(self, address):
        try:
            self.fetch(address)
            return True
        except subprocess.CalledProcessError:
            return False

    def end(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False)
            (pathlib.Path("/etc/netns", name) / "resolv.conf").unlink(missing_ok=True)
            pathlib.Path("/etc/netns", name).rmdir()


def render(discovery):
    origin = f"http://{NETWORK}.2:8088"
    options = ["--set", f"shield.discovery={discovery},sites[0].name=live,sites[0].hosts={{*}},sites[0].origins={{{origin}}}"]
    text = sh(HELM, "template", "tidegate", HERE / "tidegate", "--namespace", "live", *options)
    objects = [each for each in yaml.safe_load_all(text) if each]
    found = {}
    for tier, kind in (("edge", "Deployment"), ("shield", "StatefulSet")):
        (pod,) = [each["spec"]["template"]["spec"] for each in objects if each["kind"] == kind]
        (config,) = [each["data"] for each in objects if each["kind"] == "ConfigMap" and f"{tier}.toml" in each["data"]]
        found[tier] = pod, config[f"{tier}.toml"]
    return found


def start_pod(cluster, rendered, tier, pod, number):
    spec, config = rendered[tier]
    template, node = cluster.folder / f"{pod}-template", cluster.folder / pod
    template.mkdir()
    node.mkdir()
    (template / f"{tier}.toml").write_text(config.replace("/etc/tidegate/operators/token", str(cluster.token)))
    init = [each.replace("/template", str(template)).replace("/etc/tidegate/node", str(node))
            for each in spec["initContainers"][0]["command"]]
    sh(*init, env={**os.environ, "POD_NAME": pod})
    container = spec["containers"][0]
    arguments = [each.replace("/etc/tidegate/node", str(node)) for each in container["args"]]
    cluster.start(pod, number, [TIDEGATE, *arguments], f"{pod}.json")


def owners(cluster, edge, round_number):
    """The shield of each folder, from the edge's access log; every request is a new object."""
    for folder in range(FOLDERS):
        cluster.fetch(f"http://{NETWORK}.{edge}:8080/bytes/100/{folder}/{round_number}.ts", "-o", "/dev/null")

    def lines():
        found = map(json.loads, (cluster.folder / f"tidegate-edge-{edge}.json").read_text().splitlines())
        return {each["url"]["path"].split("/")[3]: each["tidegate"]["upstream"] for each in found
                if each["url"]["path"].endswith(f"/{round_number}.ts")}

    wait(10, "lines of the access log", lambda: len(lines()) == FOLDERS)
    return lines()


def name_shields(cluster, *numbers):
    """Writes the addresses of the headless Service and of its pods, in the order of their names."""
    addresses = [f"{NETWORK}.{20 + number}" for number in numbers]
    names = {f"tidegate-shield-{index}.{SERVICE}": [address] for index, address in enumerate(addresses)}
    new = cluster.addresses.with_suffix(".new")
    new.write_text(json.dumps({SERVICE: addresses, **names}))
    new.rename(cluster.addresses)


def up(cluster, edge):
    address = f"http://{NETWORK}.{edge}:9080/v1/upstreams"
    assert not cluster.succeeds(address), "the operators' listener answers without the token"
    pools = json.loads(cluster.fetch(address, "-H", f"Authorization: Bearer {TOKEN}"))["pools"]
    return {each["address"].split("#")[-1] for pool in pools for each in pool["upstreams"] if each["state"] == "up"}


def start_edge(cluster, rendered, edge):
    """The edge at this address, once its probes succeed from outside, as the kubelet's."""
    start_pod(cluster, rendered, "edge", f"tidegate-edge-{edge}", edge)
    container = rendered["edge"][0]["containers"][0]
    for probe in ("livenessProbe", "readinessProbe"):
        address = f"http://{NETWORK}.{edge}:9080{container[probe]['httpGet']['path']}"
        wait(30, f"{probe} of an edge", lambda address=address: cluster.succeeds(address))


def shields_come_and_go(cluster):
    name_shields(cluster, 0, 1, 2)
    start_edge(cluster, render("dns"), 10)

    def scale(count):
        name_shields(cluster, *range(count))
        wanted = {f"{NETWORK}.{20 + number}" for number in range(count)}
        wait(60, f"{count} shields up", lambda: up(cluster, 10) == wanted)

    scale(3)
    three = owners(cluster, 10, "a")
    scale(5)
    five = owners(cluster, 10, "b")
    scale(3)
    again = owners(cluster, 10, "c")
    moved = {key for key in three if three[key] != five[key]}
    strange = [key for key in moved if not five[key].endswith((f"{NETWORK}.23", f"{NETWORK}.24"))]
    assert not strange, f"moved between old shields: {strange}"
    assert 0.2 * FOLDERS <= len(moved) <= 0.6 * FOLDERS, f"{len(moved)} of {FOLDERS} moved; two fifths should"
    assert again == three, "not every stream returned to its shield"
    print(f"  dns: 3 to 5 to 3 shields, {len(moved)} of {FOLDERS} streams moved and returned", file=sys.stderr)


def a_restarted_shield_keeps_its_streams(cluster):
    """With names: shield 1 ends, and comes back with another address."""
    name_shields(cluster, 0, 1, 2)
    start_edge(cluster, render("names"), 11)
    wait(60, "3 shields up", lambda: len(up(cluster, 11)) == 3)
    before = owners(cluster, 11, "a")
    cluster.processes["tidegate-shield-1"].terminate()
    wait(30, "a shield down", lambda: len(up(cluster, 11)) == 2)
    name_shields(cluster, 0, 4, 2)
    wait(60, "3 shields up", lambda: len(up(cluster, 11)) == 3)
    after = owners(cluster, 11, "b")
    changed = [key for key in before if before[key] != after[key]]
    assert not changed, f"{len(changed)} of {FOLDERS} streams have another shield"
    print(f"  names: a shield with a new address has its streams again, {FOLDERS} of {FOLDERS}", file=sys.stderr)


def main():
    rendered = render("dns")
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(folder)
        try:
            stub = cluster.folder / "stub.toml"
            stub.write_text('listen = "0.0.0.0:8088"\n')
            cluster.start("origin", 2, [TIDEGATE, "origin-stub", "--config", stub], "origin.out")
            for number in range(5):
                start_pod(cluster, rendered, "shield", f"tidegate-shield-{number}", 20 + number)
            shields_come_and_go(cluster)
            a_restarted_shield_keeps_its_streams(cluster)
            edge = cluster.processes["tidegate-edge-10"]
            edge.terminate()
            assert edge.wait(40) == 0, f"a drain ends with {edge.returncode}"
            print("  SIGTERM drains, and ends with 0", file=sys.stderr)
        finally:
            cluster.end()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--resolver"]:
        resolve(sys.argv[2])
    else:
        main()
