"""Terraform: the sizing is tested where it is computed, the rest against the provider's names.

No provider can be had without a registry. So what needs one is judged by python-hcl2, checkov
(test_manifests.py) and the argument names of cdktf-cdktf-provider-aws; what needs none is run.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from judges import DEPLOY, ROOT, TERRAFORM, Document, Terraform, by_kind, documents, hcl, judge, run

pytestmark = pytest.mark.deploy

SIZING = TERRAFORM / "modules" / "sizing"
ROOT_FILES = sorted(TERRAFORM.glob("*.tf"))
TFVARS = {
    "3k": TERRAFORM / "terraform.tfvars",
    "50k": TERRAFORM / "examples" / "50k.tfvars",
    "1m": TERRAFORM / "examples" / "1m.tfvars",
}
META = {"count", "for_each", "depends_on", "lifecycle", "provider", "dynamic"}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """The root module as far as it needs no provider: its variables, and the check of the size."""
    root = tmp_path_factory.mktemp("root")
    for name in ("variables.tf", "sizing.tf"):
        shutil.copy(TERRAFORM / name, root)
    shutil.copytree(TERRAFORM / "modules", root / "modules")
    (root / "outputs.tf").write_text(
        'output "sizing" { value = module.sizing }\n'
        'output "desired" { value = var.producer_desired_size }\n'
        'output "instance_type" { value = var.instance_type }\n'
    )
    terraform = Terraform(root, tmp_path_factory.mktemp("scratch"))
    terraform("init", "-no-color")
    return terraform


def applied(plan: Terraform, *arguments: str) -> tuple[Document, str]:
    """The outputs with these variables, and what was said."""
    done = plan("apply", "-auto-approve", "-no-color", "-var=cluster_name=bench", *arguments)
    outputs = json.loads(plan("output", "-json").stdout)
    values = {name: output["value"] for name, output in outputs.items()}
    return values, " ".join((done.stdout + done.stderr).split())


def refusal(plan: Terraform, *arguments: str) -> str:
    """What is said of variables that are refused, on one line."""
    done = plan("plan", "-no-color", *arguments, check=False)
    assert done.returncode == 1, done.stdout
    return " ".join(done.stderr.replace("│", " ").split())


# ---- what runs --------------------------------------------------------------------------------


def test_the_files_are_formatted(tmp_path: Path) -> None:
    Terraform(TERRAFORM, tmp_path)("fmt", "-check", "-recursive", "-diff")


def test_the_sizing_module_passes_its_own_tests(tmp_path: Path) -> None:
    module = tmp_path / "sizing"
    shutil.copytree(SIZING, module)
    terraform = Terraform(module, tmp_path)
    terraform("init", "-no-color")
    assert "The configuration is valid" in terraform("validate", "-no-color").stdout
    tested = terraform("test", "-no-color").stdout
    n_runs = len(re.findall(r"^run ", (SIZING / "tests/sizing.tftest.hcl").read_text(), re.M))
    assert n_runs > 10
    assert f"Success! {n_runs} passed, 0 failed." in tested


@pytest.mark.parametrize("name", TFVARS)
def test_the_examples_are_what_the_sizing_computes(plan: Terraform, name: str) -> None:
    defaults = () if name == "3k" else (f"-var-file={TFVARS['3k']}",)
    values, said = applied(plan, *defaults, f"-var-file={TFVARS[name]}")
    sizing = values["sizing"]
    assert values["desired"] == sizing["nodes"]
    assert "Warning" not in said
    wanted = {"3k": 3000, "50k": 50_000, "1m": 1_000_000}[name]
    row = (
        f"| {wanted:,} | `{TFVARS[name].relative_to(TERRAFORM)}` | "
        f"{sizing['nodes']} × {values['instance_type']} | "
        f"{sizing['pods']} × {sizing['messages_per_second_per_pod']:,} | "
        f"{sizing['workers_per_pod']} |"
    )
    assert row in (ROOT / "docs" / "how-to" / "scale.md").read_text()
    assert wanted <= sizing["pods"] * sizing["messages_per_second_per_pod"] < wanted * 1.001
    if name == "3k":
        return
    resources = sizing["pod_resources"]
    text = " ".join(TFVARS[name].read_text().replace("#", " ").split())
    assert (
        f"replicas {sizing['pods']}, "
        f'MESSAGES_PER_SECOND "{sizing["messages_per_second_per_pod"]}", '
        f'WORKERS "{sizing["workers_per_pod"]}", '
        f"cpu {resources['requests']['cpu']}/{resources['limits']['cpu']}, "
        f"memory {resources['requests']['memory']}/{resources['limits']['memory']} Expected:"
    ) in text


def test_the_deployment_is_the_sizing_of_the_default(plan: Terraform) -> None:
    values, _ = applied(plan, f"-var-file={TFVARS['3k']}")
    deployment = by_kind(documents((DEPLOY / "producer-deployment.yaml").read_text()))["Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    sizing = values["sizing"]
    assert deployment["spec"]["replicas"] == sizing["pods"]
    assert env["MESSAGES_PER_SECOND"] == str(sizing["messages_per_second_per_pod"])
    assert env["WORKERS"] == str(sizing["workers_per_pod"])
    assert container["resources"] == sizing["pod_resources"]


def test_too_few_nodes_are_warned_of_and_none_are_not(plan: Terraform) -> None:
    rate = "-var=messages_per_second=1000000"
    _, said = applied(plan, rate, "-var=producer_desired_size=3")
    assert "3 × t3.medium are too few for 1000000 msg/s: 30 are needed" in said.replace("│ ", "")
    _, said = applied(plan, rate, "-var=producer_desired_size=0")
    assert "Warning" not in said


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("cluster_name=not a name", "aws eks list-clusters"),
        ("producer_desired_size=-1", "a whole number from 0"),
        ("producer_desired_size=1.5", "a whole number from 0"),
        ("producer_desired_size=11", "above producer_max_size: raise that too"),
        ("producer_max_size=0", "set producer_desired_size = 0"),
        ("instance_type=c7g.large", "Arm processors"),
        ("instance_type=large", "is written t3.medium"),
        ("cpu_credits=many", "unlimited or standard"),
        ("capacity_type=FREE", "ON_DEMAND or SPOT"),
        ("disk_gib=8", "from 20"),
        ("ecr_repository_name=IoT", "lower-case"),
        ('subnet_ids=["vpc-1"]', "subnet-0123456789abcdef0"),
        ("messages_per_second=0", "for no load at all"),
        ("instance_type=m9i.large", "nothing is known about m9i.large"),
    ],
)
def test_a_wrong_variable_is_refused_with_a_remedy(
    plan: Terraform, variable: str, says: str
) -> None:
    assert says in refusal(plan, "-var=cluster_name=bench", f"-var={variable}")


# ---- names ------------------------------------------------------------------------------------


@cache
def provider() -> Path:
    python = judge("checkov").parent / "python"
    program = "import importlib.util as u; print(u.find_spec('cdktf_cdktf_provider_aws').origin)"
    return Path(run(python, "-c", program).stdout.strip()).parent


@cache
def classes(module: str) -> dict[str, dict[str, str]]:
    """Each class of a module with the arguments that it is made of, and their types as text."""
    source = provider() / module / "__init__.py"
    assert source.exists(), f"the AWS provider has no {module}"
    return {
        node.name: {
            argument.arg: ast.unparse(argument.annotation) if argument.annotation else ""
            for argument in function.args.kwonlyargs
        }
        for node in ast.parse(source.read_text()).body
        if isinstance(node, ast.ClassDef)
        for function in node.body
        if isinstance(function, ast.FunctionDef) and function.name == "__init__"
    }


def config_class(module: str) -> str:
    camel = "".join(part.title() for part in module.split("_"))
    (found,) = [name for name in classes(module) if name.lower() == f"{camel}Config".lower()]
    return found


def misnamed(module: str, name: str, block: Document, path: str) -> Iterator[str]:
    """What a block has that the provider does not know, or lacks; blocks within it too."""
    known = classes(module)[name]
    given = {key: value for key, value in block.items() if not key.startswith("__")}
    for dynamic in given.get("dynamic", []):
        for key, body in dynamic.items():
            given[key] = body["content"]
    for key in given.keys() - known.keys() - META:
        yield f"{path}.{key} is unknown"
    for key, kind in known.items():
        if not kind.startswith("typing.Optional") and key not in given:
            yield f"{path}.{key} is missing"
    for key, value in given.items():
        inner = [part for part in re.findall(r"'(\w+)'", known.get(key, "")) if part[0].isupper()]
        for body in value if inner and isinstance(value, list) else []:
            if isinstance(body, dict):
                yield from misnamed(module, inner[0], body, f"{path}.{key}")


def blocks(kind: str) -> Iterator[tuple[str, str, Document]]:
    for file in ROOT_FILES:
        for entry in hcl(file).get(kind, []):
            for type_, named in entry.items():
                for name, body in named.items():
                    yield type_, name, body


def test_every_argument_is_one_of_the_providers() -> None:
    found = [("resource", *block) for block in blocks("resource")]
    found += [("data", *block) for block in blocks("data")]
    assert {f"{type_}.{name}" for _, type_, name, _ in found} >= {
        "aws_eks_node_group.producer",
        "aws_launch_template.producer",
        "aws_ecr_repository.producer",
        "aws_iam_role.node",
        "aws_eks_cluster.this",
    }
    wrong = []
    for kind, type_, name, body in found:
        module = (
            type_.removeprefix("aws_") if kind == "resource" else type_.replace("aws", "data_aws")
        )
        wrong += misnamed(module, config_class(module), body, f"{type_}.{name}")
    (aws,) = [entry["aws"] for entry in hcl(TERRAFORM / "versions.tf")["provider"]]
    wrong += misnamed("provider", "AwsProviderConfig", aws, "provider")
    assert wrong == []


def test_a_wrong_argument_would_be_found() -> None:
    body = {"cluster_name": ["x"], "scaling_config": [{"desired": [1]}], "taints": []}
    wrong = set(misnamed("eks_node_group", "EksNodeGroupConfig", body, "ng"))
    assert {
        "ng.taints is unknown",
        "ng.node_role_arn is missing",
        "ng.scaling_config.desired is unknown",
        "ng.scaling_config.desired_size is missing",
    } <= wrong


def test_the_provider_is_of_the_version_whose_names_were_checked() -> None:
    (metadata,) = provider().parent.glob("cdktf_cdktf_provider_aws-*.dist-info/METADATA")
    checked = re.search(r"hashicorp/aws provider version (\d+)\.", metadata.read_text())
    assert checked is not None
    major = int(checked.group(1))
    assert f'version = ">= {major}.0, < {major + 1}.0"' in (TERRAFORM / "versions.tf").read_text()


def test_what_is_referred_to_is_there() -> None:
    text = "\n".join(re.sub(r"#.*", "", file.read_text()) for file in ROOT_FILES)
    declared = set(re.findall(r'^variable "(\w+)"', text, re.M))
    assert set(re.findall(r"\bvar\.(\w+)", text)) == declared
    for kind in ("resource", "data"):
        made = {f"{type_}.{name}" for type_, name, _ in blocks(kind)}
        prefix = r"(?<!data\.)\b" if kind == "resource" else r"\bdata\."
        assert set(re.findall(prefix + r"(aws_\w+\.\w+)", text)) <= made
    for name in {key for path in TFVARS.values() for key in hcl(path)}:
        assert name in declared or name.startswith("__"), name
    outputs = set(re.findall(r'^output "(\w+)"', (SIZING / "outputs.tf").read_text(), re.M))
    assert set(re.findall(r"module\.sizing\.(\w+)", text)) == outputs
    assert text.count("description ") >= len(declared)


# ---- at one with the manifest, the scripts and the docs ---------------------------------------


def test_pods_and_nodes_find_each_other() -> None:
    (group,) = [body for type_, _, body in blocks("resource") if type_ == "aws_eks_node_group"]
    deployment = by_kind(documents((DEPLOY / "producer-deployment.yaml").read_text()))["Deployment"]
    spec = deployment["spec"]["template"]["spec"]
    assert group["labels"] == [spec["nodeSelector"]] == [{"workload": "bench-producer"}]
    (taint,) = group["taint"]
    (toleration,) = spec["tolerations"]
    assert taint == {
        "key": [toleration["key"]],
        "value": [toleration["value"]],
        "effect": ["NO_SCHEDULE"],
    }
    assert toleration["effect"] == "NoSchedule"


def test_a_node_has_imds_v2_alone_and_no_more_rights_than_a_node_needs() -> None:
    found: dict[str, Any] = {type_: body for type_, _, body in blocks("resource")}
    (options,) = found["aws_launch_template"]["metadata_options"]
    assert options["http_tokens"] == ["required"]
    assert options["http_put_response_hop_limit"] == [1]
    policies = set(re.findall(r'"(Amazon\w+)"', (TERRAFORM / "iam.tf").read_text()))
    assert policies == {
        "AmazonEKSWorkerNodePolicy",
        "AmazonEC2ContainerRegistryPullOnly",
        "AmazonEKS_CNI_Policy",
    }


def test_terraform_and_the_script_make_the_same_repository() -> None:
    text = (TERRAFORM / "ecr.tf").read_text()
    assert '"IMMUTABLE"' in text
    assert "scan_on_push = true" in text
    named = re.search(r'file\("\$\{path\.module\}/(.+?)"\)', text)
    assert named is not None
    assert json.loads((TERRAFORM / named.group(1)).read_text())["rules"]


def test_the_docs_have_the_figures_of_the_sizing() -> None:
    text = (ROOT / "docs" / "how-to" / "scale.md").read_text()
    (figures,) = hcl(SIZING / "figures.tf")["locals"]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d.,]+) \|", text, re.M))
    assert rows.keys() == {name for name in figures if not name.startswith("__")}
    for name, value in rows.items():
        assert float(value.replace(",", "")) == figures[name][0], name
