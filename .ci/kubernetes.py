"""Checks examples/replicas/kubernetes.yaml without a cluster: that its parts name each other, that
its variables are settings, that its secret's files are those that its first lines tell to make, and
that its times go with the defaults of config.toml.
"""

import re
import tomllib

import yaml

from services import ROOT, expect, image_environment

FILE = ROOT / "examples/replicas/kubernetes.yaml"
HANDLER = re.compile(r"BECKN_RECEIVER_HANDLERS__[A-Z0-9]+__([A-Z0-9_]+)")


def settings():
    """Returns the settings of config.toml by their variables, and the names of handlers' settings."""
    text = (ROOT / "config.toml").read_text()
    known, handlers = {}, set(re.findall(r"^# (\w+) = ", text, re.MULTILINE))
    for name, value in tomllib.loads(text).items():
        of_section = value if isinstance(value, dict) else {"": value}
        for setting, default in of_section.items():
            path = f"{name}__{setting}" if setting else name
            known[f"BECKN_RECEIVER_{path.upper()}"] = default
    return known, handlers


def check_variables(variables):
    known, handlers = settings()
    for variable, value in variables.items():
        expect(isinstance(value, str), f"a text for {variable}")
        of_handler = HANDLER.fullmatch(variable)
        is_known = of_handler[1].lower() in handlers if of_handler else variable in known
        expect(is_known, f"a setting of config.toml, not {variable}")
    used = {variable: default for variable, default in known.items() if variable in variables}
    return known | {name: variables[name] for name in used}


def check_secrets(pod, variables):
    (secret,) = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    text = FILE.read_text()
    expect(f"kubectl create secret generic {secret['secretName']} " in text, "the secret to be told of")
    told = set(re.findall(r"--from-file=([a-z-]+)", text))
    explained = set(re.findall(r"^#   ([a-z-]+) {2,}\S", text, re.MULTILINE))
    expect(told == explained, f"each file of the secret to be told of: {told ^ explained}")
    (container,) = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {volumes[mount["name"]].get("secret", {}).get("secretName"): mount["mountPath"]
              for mount in container["volumeMounts"]}
    expect({mount["name"] for mount in container["volumeMounts"]} == set(volumes), "each volume mounted")
    place = f"{mounts[secret['secretName']]}/"
    used = {value.removeprefix(place) for value in variables.values() if value.startswith(place)}
    expect(used == told, f"each file of the secret in one setting: {used ^ told}")
    files = {name for name in variables if name.endswith("_FILE")}
    outside = [name for name in files if not variables[name].startswith(place)]
    expect(not outside, f"the files of {outside} in the secret")
    expect(image_environment()["BECKN_RECEIVER_INBOX__PATH"] in mounts.values(), "inbox.path mounted")


def check_pod(pod, known):
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for port, variable in [("callbacks", "HTTP__LISTEN"), ("operations", "OPERATIONS__LISTEN")]:
        listen = image_environment()[f"BECKN_RECEIVER_{variable}"]
        expect(listen == f"0.0.0.0:{ports[port]}", f"the image's port of {port}, not {ports[port]}")
    for probe, path in [("startup", "/livez"), ("liveness", "/livez"), ("readiness", "/readyz")]:
        asked = container[f"{probe}Probe"]["httpGet"]
        expect(asked == {"path": path, "port": "operations"}, f"{path} for the {probe} probe")
    needs = container["lifecycle"]["preStop"]["sleep"]["seconds"] + 10 + sum(
        known[f"BECKN_RECEIVER_{name}"] // 1_000
        for name in ("HTTP__REQUEST_TIMEOUT_MS", "DISPATCH__DRAIN_TIMEOUT_MS"))
    grace = pod["terminationGracePeriodSeconds"]
    expect(grace >= needs, f"at least {needs} s to stop, not {grace}")
    expect(pod["securityContext"]["runAsNonRoot"], "another user than root")
    expect(container["securityContext"]["readOnlyRootFilesystem"], "nothing written beside the volumes")
    expect("cpu" not in container["resources"]["limits"], "no limit of the CPU")
    return ports


def main():
    parts = {}
    for part in yaml.safe_load_all(FILE.read_text()):
        parts.setdefault(part["kind"], {})[part["metadata"]["name"]] = part
    kinds = {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget"}
    expect(set(parts) == kinds, f"{kinds}, not {set(parts)}")
    (deployment,) = parts["Deployment"].values()
    template = deployment["spec"]["template"]
    labels, pod = template["metadata"]["labels"], template["spec"]
    (source,) = pod["containers"][0]["envFrom"]
    variables = parts["ConfigMap"][source["configMapRef"]["name"]]["data"]
    known = check_variables(variables)
    check_secrets(pod, variables)
    ports = check_pod(pod, known)
    selected = [deployment["spec"]["selector"]["matchLabels"]]
    selected += [spread["labelSelector"]["matchLabels"] for spread in pod["topologySpreadConstraints"]]
    selected += [of["spec"]["selector"]["matchLabels"] for of in parts["PodDisruptionBudget"].values()]
    for service in parts["Service"].values():
        selected.append(service["spec"]["selector"])
        targets = {port["targetPort"] for port in service["spec"]["ports"]}
        expect(targets <= set(ports), f"ports of the container, not {targets}")
    expect(all(one.items() <= labels.items() for one in selected), f"selectors of {labels}: {selected}")
    print(f"{FILE.name}: {len(variables)} variables are settings, and its parts name each other")


main()
