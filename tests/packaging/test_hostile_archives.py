"""What is not the file of a Model, or says more than it may, is refused and leaves no trace."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from taxiway.errors import ConflictError, CorruptionError, InputError
from taxiway.packaging import registry, transfer
from taxiway.packaging.bento import environment
from taxiway.packaging.manifest import FILE

from .conftest import Packaged
from .forging import Forgery, member, pack, tree
from .hostile_contents import CONTENTS, NEEDED
from .hostile_tars import TARS

HOSTILE = TARS | CONTENTS
#: Each of these is refused for what it is, and not for something else.
REASONS = {
    "a_file_missing": "there is no member 'signature.json'",
    "a_file_too_many": "more than its manifest names",
    "a_header_that_promises_an_exabyte": "larger than the",
    "a_long_name_header": "'././@LongLink'",
    "altered_content": "model.onnx differs",
    "altered_manifest": "it was altered",
    "an_extension_header": "PaxHeader",
    "cut_off_in_a_file": "ends too soon",
    "manifest_framework_of_markup": "its framework is not a word",
    "manifest_later_format": "later Taxiway",
    "manifest_size_too_large": "smaller than its manifest declares",
    "manifest_size_too_small": "larger than the 100 bytes",
    "manifest_version_of_another_digest": "does not follow from its digest",
    "another_model_under_its_version": "not that of what it says it is",
    "another_model_file_under_its_version": "not that of what it says it is",
    "member_symlink": "not a plain file",
    "member_sparse": "not a plain file",
    "name_case_twice": "one file on some systems",
    "name_traversal": "'../evil' cannot be a file of a Model",
    "no_end": "ends too soon",
    "no_model.skops": "names no model.skops",
    "no_saved_model.pb": "names no saved_model/saved_model.pb",
    "no_tokenizer": "names no tokenizer.json",
    **{f"no_{name}": f"names no {name}" for name in NEEDED},
    **{f"endless_{name}": f"{name} is 16777217 bytes long" for name in NEEDED[:6]},
    "python_of_a_path": "made with Python '/tmp/evil.11'",
    "requirements_option": "not the name and version of a distribution",
    "something_in_the_padding": "hidden between its files",
    "weights_of_a_path": "model.onnx has weights in '/etc/passwd'",
    "weights_of_no_file": "weights.safetensors cannot be read",
}


@pytest.mark.parametrize("case", sorted(HOSTILE))
def test_a_hostile_file_is_refused_and_leaves_no_trace(
    elsewhere: Path, packaged: Packaged, taxiway_home: Path, tmp_path: Path, case: str
) -> None:
    made = HOSTILE[case](Forgery.of(packaged.model))
    given = tmp_path / "hostile.taxiway"
    given.write_bytes(made)
    (taxiway_home / "store" / "models").mkdir(parents=True)
    before = tree(tmp_path, Path("/tmp/evil"), Path.cwd() / "evil")
    with pytest.raises(CorruptionError) as caught:
        transfer.import_model(given)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert REASONS.get(case, "") in caught.value.message
    after = tree(tmp_path, Path("/tmp/evil"), Path.cwd() / "evil")
    assert {path for path in after if "rain" not in Path(path).name} == {
        path for path in before if "rain" not in Path(path).name
    }
    assert registry.list_models() == []
    assert transfer.import_model(elsewhere).new, "a sound Model can still be imported"


def test_the_forger_makes_what_export_makes(exported: Path, packaged: Packaged) -> None:
    """Else the cases above would be refused for another reason than theirs."""
    forgery = Forgery.of(packaged.model)
    sealed = (packaged.model.path / FILE).read_bytes()
    assert pack([(member(FILE, len(sealed)), sealed), *forgery.members()[1:]]) == exported.read_bytes()


def test_a_harmless_forgery_is_imported(elsewhere: Path, packaged: Packaged, tmp_path: Path) -> None:
    """Another description, sealed again, and a nested file: what remains trusted is what the sender says."""
    forgery = Forgery.of(packaged.model)
    forgery.put("saved_model/variables/variables.data-00000-of-00001", b"x" * 3000)
    forgery.manifest["description"] = "mine"
    given = tmp_path / "forged.taxiway"
    given.write_bytes(forgery.readdressed().packed())
    model = transfer.import_model(given).model
    assert model.description == "mine"
    assert registry.load(model.tag) == model


def test_types_to_trust_are_named_by_the_user_and_not_by_the_file(
    elsewhere: Path, packaged: Packaged, tmp_path: Path
) -> None:
    forgery = Forgery.of(packaged.model)
    forgery.manifest.update(runtime="skops", engine={"trusted": ["evil.Step", "numpy.ufunc"]})
    forgery.put("model.skops", b"evil")
    given = tmp_path / "forged.taxiway"
    given.write_bytes(forgery.readdressed().packed())
    for trust in ((), ("numpy.ufunc",)):
        with pytest.raises(InputError, match=r"evil\.Step") as caught:
            transfer.import_model(given, trust=trust)
        assert "--trust" in caught.value.hint
        assert registry.list_models() == []
    assert transfer.import_model(given, trust=["evil.Step", "numpy.ufunc"]).new


def test_only_what_an_engine_needs_is_required_unless_the_user_says_so(
    elsewhere: Path, packaged: Packaged, tmp_path: Path
) -> None:
    """A replay installs and starts what is pinned: a wheel of any name may run code as Python starts."""
    forgery = Forgery.of(packaged.model)
    forgery.put("requirements.txt", forgery.files["requirements.txt"] + b"Evil_Package==1.0\n")
    given = tmp_path / "forged.taxiway"
    given.write_bytes(forgery.readdressed().packed())
    with pytest.raises(InputError, match=r"requires evil-package, which") as caught:
        transfer.import_model(given)
    assert "--pin" in caught.value.hint
    assert registry.list_models() == []
    with pytest.raises(InputError, match="evil-package"):
        transfer.import_model(given, trust=["evil_package"], pins=["numpy"])
    assert transfer.import_model(given, pins=["evil_package"]).new


def test_all_that_a_model_requires_is_allowed_in_one_word(
    elsewhere: Path, packaged: Packaged, tmp_path: Path
) -> None:
    """A model of TensorFlow, taken to a machine without it, requires thirty that are not known there."""
    forgery = Forgery.of(packaged.model)
    more = b"".join(f"unheard-of-{number}==1.0\n".encode() for number in range(30))
    forgery.put("requirements.txt", forgery.files["requirements.txt"] + more)
    given = tmp_path / "forged.taxiway"
    given.write_bytes(forgery.readdressed().packed())
    with pytest.raises(InputError, match=r"unheard-of-0, .* unheard-of-9, which"):
        transfer.import_model(given)
    assert transfer.import_model(given, pins=transfer.ALL).new


def test_a_second_model_of_the_same_version_is_not_taken_for_the_first(
    elsewhere: Path, packaged: Packaged, tmp_path: Path
) -> None:
    model = transfer.import_model(elsewhere).model
    forgery = Forgery.of(packaged.model)
    forgery.manifest["digest"] = model.version + "0" * 52
    given = tmp_path / "forged.taxiway"
    given.write_bytes(forgery.packed())
    with pytest.raises(ConflictError, match=model.version):
        transfer.import_model(given)
    assert registry.load("rain").digest == packaged.model.digest


def test_an_import_runs_nothing_and_writes_plain_files(
    elsewhere: Path, taxiway_home: Path, packaged: Packaged, tmp_path: Path
) -> None:
    """No process is started, no engine opens the file, no module of the Model is imported."""
    forgery = Forgery.of(packaged.model)
    forgery.put("sources/sitecustomize.py", b"open('evil', 'w')")
    given = tmp_path / "forged.taxiway"
    given.write_bytes(forgery.readdressed().packed())
    code = """
import sys
watched = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "pickle.find_class"}
started = []
sys.addaudithook(lambda event, _: started.append(event) if event in watched else None)
from taxiway.packaging import transfer
model = transfer.import_model(sys.argv[1]).model
engines = {"onnxruntime", "onnx", "skops", "bentoml", "tensorflow"}
print(started, sorted(engines & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(given)],
        env={**environment(), "TAXIWAY_HOME": str(taxiway_home)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[] []"
    assert not (tmp_path / "evil").exists()
    model = registry.load("rain")
    for path in model.path.rglob("*"):
        if path.is_file():
            assert stat.S_IMODE(path.stat().st_mode) & 0o111 == 0
