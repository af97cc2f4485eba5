#!/usr/bin/env python3
"""Executes the template in moto's mock of AWS, in two regions, and looks at what it makes. Nothing leaves the machine."""

import base64
import functools
import logging
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

os.environ.update(AWS_ACCESS_KEY_ID="mock", AWS_SECRET_ACCESS_KEY="mock", AWS_DEFAULT_REGION="eu-central-1")

import boto3  # noqa: E402
from moto import mock_aws  # noqa: E402
from moto.cloudformation.parsing import get_model_map  # noqa: E402
from moto.elbv2.models import ELBv2Backend  # noqa: E402

TEMPLATE = (pathlib.Path(__file__).parent / "region.yaml").read_text()
IMAGE = "/tidegate/image"
# Types of the template that moto does not execute: only cfn-lint checks them.
SKIPPED = {
    "AWS::AutoScaling::ScalingPolicy",
    "AWS::CloudWatch::Alarm",
    "AWS::EC2::EIPAssociation",
    "AWS::SNS::Subscription",
}

# moto makes every load balancer of a template one for HTTP.
ELBv2Backend.create_load_balancer = functools.partialmethod(
    ELBv2Backend.create_load_balancer, loadbalancer_type="network"
)
logging.getLogger("moto").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", message="Tried to parse")


def create(region, zone, **parameters):
    boto3.client("ssm", region).put_parameter(Name=IMAGE, Type="String", Value="ami-12c6146b")
    given = {
        "OriginUrls": '["https://origin.example"]',
        "BinaryUrl": "https://download.example/tidegate",
        "BinarySha256": "0" * 64,
        "ImageId": IMAGE,
        "HostName": "live.example",
        "HostedZoneId": zone,
        **parameters,
    }
    client = boto3.client("cloudformation", region)
    client.create_stack(
        StackName="tidegate",
        # moto takes the empty name for us-east-1.
        TemplateBody=TEMPLATE.replace('!GetAZs ""', f"!GetAZs {region}"),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    stack = client.describe_stacks(StackName="tidegate")["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    resources = client.list_stack_resources(StackName="tidegate")["StackResourceSummaries"]
    return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in resources}


def user_data(region, template):
    versions = boto3.client("ec2", region).describe_launch_template_versions(LaunchTemplateId=template)
    data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]["UserData"]
    return base64.b64decode(data).decode()


def check_script(script, tier):
    """A first start: bash that shellcheck accepts, with a configuration that `tidegate check` accepts."""
    assert "${" not in script.replace("${AWS", ""), script
    shellcheck = ["shellcheck", "--shell=bash", "--exclude=SC2034", "-"]
    subprocess.run(shellcheck, input=script, text=True, check=True)
    config = re.search(r"cat > /run/tidegate.toml <<'END'\n(.*?)\nEND\n", script, re.DOTALL).group(1)
    program = os.environ.get("TIDEGATE")
    if program:
        with tempfile.TemporaryDirectory() as folder:
            file, token = pathlib.Path(folder, f"{tier}.toml"), pathlib.Path(folder, "token")
            token.write_text("0123456789abcdef")
            config = config.replace("@NODE@", f"{tier}-i-0123456789abcdef0")
            config = config.replace("/etc/tidegate/operators.token", str(token))
            file.write_text(config)
            subprocess.run([program, "check", "--tier", tier, "--config", file], check=True, stdout=subprocess.DEVNULL)
    return config


@mock_aws
def two_regions_share_one_name():
    route53 = boto3.client("route53")
    zone = route53.create_hosted_zone(Name="live.example", CallerReference="1")["HostedZone"]["Id"].split("/")[-1]
    for region, shields in (("eu-central-1", 4), ("us-east-1", 2)):
        made = create(region, zone, ShieldCount=str(shields), MonitoringCidr="10.20.0.0/16", AlarmEmail="ops@live.example")
        ec2 = boto3.client("ec2", region)

        running = [f"Shield{n}" for n in range(1, 5) if f"Shield{n}" in made]
        assert len(running) == shields, running
        names = route53.list_resource_record_sets(HostedZoneId=made["Names"])["ResourceRecordSets"]
        named = sorted(record["Name"] for record in names if record["Type"] == "A")
        assert named == [f"shield-{n}.tidegate.internal" for n in range(1, shields + 1)], named
        for record in names:
            if record["Type"] == "A":
                number = record["Name"].split(".")[0].split("-")[1]
                interface = ec2.describe_network_interfaces(NetworkInterfaceIds=[made[f"Shield{number}Interface"]])
                address = interface["NetworkInterfaces"][0]["PrivateIpAddress"]
                assert record["ResourceRecords"] == [{"Value": address}], record

        config = check_script(user_data(region, made["EdgeTemplate"]), "edge")
        assert config.count(".tidegate.internal:8081") == shields, config
        check_script(user_data(region, made["ShieldTemplate"]), "shield")

        groups = boto3.client("autoscaling", region).describe_auto_scaling_groups()["AutoScalingGroups"]
        (edges,) = groups
        assert (edges["MinSize"], edges["MaxSize"], len(edges["Instances"])) == (2, 10, 2), edges
        assert edges["AvailabilityZones"] == [f"{region}a", f"{region}b"], edges

        balancing = boto3.client("elbv2", region)
        (target,) = balancing.describe_target_groups()["TargetGroups"]
        assert (target["Protocol"], target["Port"]) == ("TCP", 8080), target
        assert (target["HealthCheckPath"], target["HealthCheckPort"]) == ("/readyz", "9080"), target
        assert edges["TargetGroupARNs"] == [target["TargetGroupArn"]], edges
        (balancer,) = balancing.describe_load_balancers()["LoadBalancers"]
        listeners = balancing.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
        assert [(each["Protocol"], each["Port"]) for each in listeners] == [("TCP", 80)], listeners

        # Only the load balancer reaches viewers' and operators' ports of edges, only edges reach shields.
        open_to_all = []
        for group in ec2.describe_security_groups()["SecurityGroups"]:
            for rule in group["IpPermissions"]:
                if any(each["CidrIp"] == "0.0.0.0/0" for each in rule["IpRanges"]):
                    open_to_all.append(rule["FromPort"])
        assert sorted(open_to_all) == [80, 443], open_to_all

    records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    latency = {record["Region"]: record for record in records if record["Type"] == "A"}
    assert sorted(latency) == ["eu-central-1", "us-east-1"], records
    assert len({record["HealthCheckId"] for record in latency.values()}) == 2, records
    assert all(record["AliasTarget"]["EvaluateTargetHealth"] for record in latency.values()), records


@mock_aws
def without_a_name_no_record_is_made():
    made = create("eu-central-1", "", HostName="")
    assert "ViewersName" not in made and "RegionHealth" not in made, sorted(made)
    assert "AlarmMail" not in made and "MonitoringOfEdges" not in made, sorted(made)


@mock_aws
def a_certificate_adds_https():
    certificate = boto3.client("acm", "eu-central-1").request_certificate(DomainName="live.example")["CertificateArn"]
    create("eu-central-1", "", HostName="", CertificateArn=certificate)
    balancing = boto3.client("elbv2", "eu-central-1")
    (balancer,) = balancing.describe_load_balancers()["LoadBalancers"]
    listeners = balancing.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    found = sorted((each["Protocol"], each["Port"]) for each in listeners)
    assert found == [("TCP", 80), ("TLS", 443)], found


def every_type_is_executed_or_named():
    types = set(re.findall(r"^    Type: (AWS::[\w:]+)$", TEMPLATE, re.MULTILINE))
    assert types - set(get_model_map()) == SKIPPED, types - set(get_model_map())


TESTS = [every_type_is_executed_or_named, two_regions_share_one_name, without_a_name_no_record_is_made, a_certificate_adds_https]

if __name__ == "__main__":
    for test in TESTS:
        test()
        print(f"  {test.__name__.replace('_', ' ')}", file=sys.stderr)
