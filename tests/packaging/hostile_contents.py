"""Archives in perfect order whose manifest or files say what no Model's do."""

from __future__ import annotations

import json
from typing import Any

import onnx

from taxiway.packaging import archive

from .forging import Cases, Forgery, Hostile, member, pack

CONTENTS = Cases()


def told(**fields: Any) -> Hostile:
    """A sealed manifest that says this."""

    def make(forgery: Forgery) -> bytes:
        forgery.manifest.update(fields)
        return forgery.packed()

    return make


for title, fields in {
    "later_format": {"format": 99},
    "no_format": {"format": None},
    "name_of_a_path": {"name": "../rain"},
    "name_in_capitals": {"name": "Rain"},
    "name_of_dots": {"name": "a..b"},
    "name_of_another_type": {"name": 7},
    "version_of_another_digest": {"version": "0" * 12},
    "version_of_a_path": {"version": "../../../..", "digest": "../../../../x"},
    "digest_too_short": {"digest": "0" * 12, "version": "0" * 12},
    "size_as_text": {"size_bytes": "1000000"},
    "size_negative": {"size_bytes": -1},
    "size_too_small": {"size_bytes": 100},
    "size_too_large": {"size_bytes": 10**7},
    "made_tomorrow_week": {"created": "2999-01-01T00:00:00+00:00"},
    "made_never": {"created": "never"},
    "files_as_a_list": {"files": ["model.onnx"]},
    "runtime_unknown": {"runtime": "pickle"},
    "task_unknown": {"task": "evil"},
    "metric_as_text": {"metrics": {"accuracy": "good"}},
    "bento_of_another": {"bento": "other:000000000000"},
    "unknown_field": {"evil": True},
    "framework_of_markup": {"framework": "[/evil]"},
    "framework_of_controls": {"framework": "sklearn\x1b[31m"},
    "framework_of_lines": {"framework": "sklearn\n"},
    "framework_too_long": {"framework": "a" * 33},
    "framework_of_nothing": {"framework": ""},
}.items():
    CONTENTS[f"manifest_{title}"] = told(**fields)


def damaged(name: str, data: bytes) -> Hostile:
    """All digests hold, but a file is not what a Model's is."""

    def make(forgery: Forgery) -> bytes:
        forgery.put(name, data)
        return forgery.packed()

    return make


for title, line in {
    "option": b"--index-url http://evil\n",
    "url": b"evil @ https://evil/evil.whl\n",
    "file": b"-r /etc/passwd\n",
    "path": b"./evil\n",
    "range": b"numpy>=1\n",
    "continued": b"numpy==1.0 \\\n --hash x\n",
    "not_text": b"\xff\n",
}.items():
    CONTENTS[f"requirements_{title}"] = damaged("requirements.txt", line)


for name in ("signature.json", "preflight.json", "environment.json", "parity.json", "sample.json"):
    for title, data in {"text": b"evil", "list": b"[]", "empty": b"", "object": b"{}"}.items():
        CONTENTS[f"{name}_{title}"] = damaged(name, data)


CONTENTS["signature_of_unknown_types"] = damaged(
    "signature.json", json.dumps({"properties": {}, "required": ["x"], "x-taxiway": {"outputs": []}}).encode()
)


def made_with_python(python: str) -> Hostile:
    """It says that it was made with this Python, which uv would be asked for."""

    def make(forgery: Forgery) -> bytes:
        body = json.loads(forgery.files["environment.json"])
        forgery.put("environment.json", json.dumps({**body, "python": python}).encode())
        return forgery.packed()

    return make


for title, python in {
    "a_path": "/tmp/evil.11",
    "a_relative_path": "./evil.sh",
    "an_option": "--managed-python",
    "a_download": "https://evil/python",
    "a_range": ">=3.8",
    "nothing": "",
    "a_line": "3.11.1\n",
}.items():
    CONTENTS[f"python_of_{title}"] = made_with_python(python)


@CONTENTS.add
def another_model_under_its_version(forgery: Forgery) -> bytes:
    forgery.manifest["description"] = "not what this version is"
    return forgery.packed()


@CONTENTS.add
def another_model_file_under_its_version(forgery: Forgery) -> bytes:
    forgery.put("model.onnx", b"evil")
    return forgery.packed()


NEEDED = (
    *("environment.json", "parity.json", "preflight.json", "requirements.txt", "sample.json"),
    *("signature.json", "reference.bin", "model.onnx"),
)


def without(name: str) -> Hostile:
    """A file that every Model has is not even named."""

    def make(forgery: Forgery) -> bytes:
        forgery.manifest["size_bytes"] -= len(forgery.files.pop(name))
        del forgery.manifest["files"][name]
        return forgery.readdressed().packed()

    return make


def longer_than_it_may_be(name: str) -> Hostile:
    """A file that would be read as a whole, is larger than that, as header and manifest agree."""

    def make(forgery: Forgery) -> bytes:
        size = archive.MANIFEST_LIMIT + 1
        forgery.manifest["size_bytes"] += size - len(forgery.files[name])
        members = forgery.members()
        at = next(index for index, (info, _) in enumerate(members) if info.name == name)
        return pack(members[:at])[:-1024] + pack([(member(name, size), b"[" * 4096)])

    return make


def run_by(runtime: str, *names: str) -> Hostile:
    """It is for this engine, whose files these are but for one."""

    def make(forgery: Forgery) -> bytes:
        forgery.manifest["runtime"] = runtime
        for name in names:
            forgery.put(name, b"x")
        return forgery.readdressed().packed()

    return make


for name in NEEDED:
    CONTENTS[f"no_{name}"] = without(name)
    if name not in ("reference.bin", "model.onnx"):
        CONTENTS[f"endless_{name}"] = longer_than_it_may_be(name)


CONTENTS["no_model.skops"] = run_by("skops")


CONTENTS["no_saved_model.pb"] = run_by("savedmodel", "saved_model/variables/variables.index")


CONTENTS["no_tokenizer"] = run_by("text", "tokenizer/tokenizer.json")


CONTENTS["preflight_of_unknown_checks"] = damaged(
    "preflight.json",
    b'{"ok": true, "checks": [{"name": "evil", "level": "note", "result": "passed", "reason": ""}]}',
)


def referring_to(location: str) -> Hostile:
    """The graph has weights in a file that the Model brings, or in one that lies here."""

    def make(forgery: Forgery) -> bytes:
        graph = onnx.load_from_string(forgery.files["model.onnx"])
        tensor = graph.graph.initializer.add(name="w", data_type=1, dims=[1], data_location=1)
        tensor.external_data.add(key="location", value=location)
        forgery.put("model.onnx", graph.SerializeToString())
        forgery.put("weights.bin", bytes(4))
        return forgery.readdressed().packed()

    return make


for title, location in {
    "a_path": "/etc/passwd",
    "a_folder_above": "../../../../ledger.db",
    "an_address": "*/_ORT_MEM_ADDR_/*",
    "another_file": "weights.bin",
    "no_file": "weights.safetensors",
}.items():
    CONTENTS[f"weights_of_{title}"] = referring_to(location)
