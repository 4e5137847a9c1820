"""Archives whose members are not what they should be: names, headers, order, ends."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from typing import Any

from taxiway.packaging import archive
from taxiway.packaging.manifest import FILE

from .forging import Cases, Forgery, Hostile, member, pack

TARS = Cases()


def named_files(*names: str) -> Hostile:
    """An archive that is true to its manifest, which names these files."""

    def make(forgery: Forgery) -> bytes:
        for name in names:
            forgery.put(name, b"evil")
        return forgery.packed()

    return make


for title, names in {
    "traversal": ("../evil",),
    "traversal_inside": ("saved_model/../../evil",),
    "traversal_deep": ("../../../../../../../../tmp/evil",),
    "absolute": ("/tmp/evil",),
    "windows_absolute": ("C:evil",),
    "backslash": ("..\\evil",),
    "dot": ("./evil",),
    "double_slash": ("saved_model//evil",),
    "empty_name": ("",),
    "nul": ("evil\0.txt",),
    "newline": ("evil\n",),
    "trailing_dot": ("evil.",),
    "hidden": (".evil",),
    "right_to_left": ("\u202eevil",),
    "surrogate": ("evil\udce4",),
    "case_twice": ("Evil", "evil"),
    "case_of_the_model": ("MODEL.ONNX",),
    "case_of_the_manifest": ("Model.json",),
    "compatible_letters": ("ﬁle", "file"),
    "nested_elsewhere": ("lib/evil.py",),
    "file_and_folder": ("saved_model", "saved_model/evil"),
    "file_in_a_file": ("saved_model/a", "saved_model/a/b"),
    "very_deep": ("saved_model/" + "a/" * 20 + "b",),
}.items():
    TARS[f"name_{title}"] = named_files(*names)


def replaced(**more: Any) -> Hostile:
    """The member of the model's file is something else."""

    def make(forgery: Forgery) -> bytes:
        members = forgery.members()
        at = next(index for index, (info, _) in enumerate(members) if info.name == "model.onnx")
        data = members[at][1] if more.get("keep") else b""
        options = {key: value for key, value in more.items() if key != "keep"}
        members[at] = (member("model.onnx", len(data), **options), data)
        return pack(members)

    return make


for title, options in {
    "symlink": {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
    "hard_link": {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"},
    "hard_link_within": {"type": tarfile.LNKTYPE, "linkname": "sample.json"},
    "character_device": {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5},
    "block_device": {"type": tarfile.BLKTYPE, "devmajor": 8},
    "fifo": {"type": tarfile.FIFOTYPE},
    "folder": {"type": tarfile.DIRTYPE},
    "contiguous": {"type": tarfile.CONTTYPE, "keep": True},
    "old_header": {"type": tarfile.AREGTYPE, "keep": True},
    "sparse": {"type": tarfile.GNUTYPE_SPARSE, "keep": True},
    "setuid": {"mode": 0o4755, "keep": True},
    "owned": {"uid": 1000, "uname": "ann", "keep": True},
    "dated": {"mtime": 1_700_000_000, "keep": True},
}.items():
    TARS[f"member_{title}"] = replaced(**options)


@TARS.add
def altered_content(forgery: Forgery) -> bytes:
    data = bytearray(forgery.files["model.onnx"])
    data[len(data) // 2] ^= 1
    forgery.files["model.onnx"] = bytes(data)
    return forgery.packed()


@TARS.add
def altered_manifest(forgery: Forgery) -> bytes:
    sealed = forgery.sealed().replace(b'"rain"', b'"snow"')
    return pack([(member(FILE, len(sealed)), sealed), *forgery.members()[1:]])


@TARS.add
def no_manifest(forgery: Forgery) -> bytes:
    return pack(forgery.members()[1:])


@TARS.add
def manifest_last(forgery: Forgery) -> bytes:
    return pack([*forgery.members()[1:], forgery.members()[0]])


@TARS.add
def manifest_twice(forgery: Forgery) -> bytes:
    return pack([forgery.members()[0], *forgery.members()])


@TARS.add
def a_name_twice(forgery: Forgery) -> bytes:
    members = forgery.members()
    return pack([*members, members[2]])


@TARS.add
def another_order(forgery: Forgery) -> bytes:
    first, *rest = forgery.members()
    return pack([first, *reversed(rest)])


@TARS.add
def a_file_missing(forgery: Forgery) -> bytes:
    return pack(forgery.members()[:-1])


@TARS.add
def a_file_too_many(forgery: Forgery) -> bytes:
    return pack([*forgery.members(), (member("zz.py", 4), b"evil")])


@TARS.add
def a_file_too_many_between(forgery: Forgery) -> bytes:
    first, *rest = forgery.members()
    return pack([first, (member("aa.py", 4), b"evil"), *rest])


@TARS.add
def something_after_the_end(forgery: Forgery) -> bytes:
    return forgery.packed() + b"evil"


@TARS.add
def something_in_the_padding(forgery: Forgery) -> bytes:
    data = bytearray(forgery.packed())
    data[512 + len(forgery.sealed())] = 1
    return bytes(data)


@TARS.add
def no_end(forgery: Forgery) -> bytes:
    return forgery.packed()[:-512]


@TARS.add
def cut_off_in_a_header(forgery: Forgery) -> bytes:
    return forgery.packed()[:100]


@TARS.add
def cut_off_in_a_file(forgery: Forgery) -> bytes:
    return forgery.packed()[: -1024 - 600]


@TARS.add
def a_header_that_promises_an_exabyte(forgery: Forgery) -> bytes:
    members = forgery.members()
    return pack(members[:1])[:-1024] + pack([(member(members[1][0].name, 2**60), b"")], tarfile.GNU_FORMAT)


@TARS.add
def a_manifest_that_promises_an_exabyte(forgery: Forgery) -> bytes:
    return pack([(member(FILE, 2**60), b"")], tarfile.GNU_FORMAT)


@TARS.add
def a_manifest_of_zeros(forgery: Forgery) -> bytes:
    size = archive.MANIFEST_LIMIT + 1
    return pack([(member(FILE, size), bytes(size))])


@TARS.add
def a_size_below_zero(forgery: Forgery) -> bytes:
    block = bytearray(member(FILE, 0).tobuf(tarfile.GNU_FORMAT))
    block[124:136] = (-512).to_bytes(12, "big", signed=True)
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 256 + sum(block[156:]))
    return bytes(block) + bytes(2048)


@TARS.add
def a_manifest_nested_too_deep(forgery: Forgery) -> bytes:
    data = b"[" * 200_000 + b"]" * 200_000
    return pack([(member(FILE, len(data)), data)])


@TARS.add
def a_file_nested_too_deep(forgery: Forgery) -> bytes:
    forgery.put("parity.json", b"[" * 200_000 + b"]" * 200_000)
    return forgery.packed()


@TARS.add
def an_extension_header(forgery: Forgery) -> bytes:
    first, second, *rest = forgery.members()
    extended = second[0]
    extended.pax_headers = {"path": "../evil", "GNU.sparse.realsize": "9999999999"}
    return pack([first])[:-1024] + pack([(extended, second[1]), *rest], tarfile.PAX_FORMAT)


@TARS.add
def a_long_name_header(forgery: Forgery) -> bytes:
    forgery.put("sources/" + "a" * 120 + ".py", b"evil")
    members = forgery.members()
    at = next(index for index, (info, _) in enumerate(members) if "aaa" in info.name)
    long = pack(members[at : at + 1], tarfile.GNU_FORMAT)[:-1024]
    return pack(members[:at])[:-1024] + long + pack(members[at + 1 :])


@TARS.add
def a_wrong_checksum(forgery: Forgery) -> bytes:
    data = bytearray(forgery.packed())
    data[150] ^= 1
    return bytes(data)


@TARS.add
def compressed(forgery: Forgery) -> bytes:
    return gzip.compress(forgery.packed())


@TARS.add
def a_compressed_bomb(forgery: Forgery) -> bytes:
    return gzip.compress(bytes(50_000_000))


@TARS.add
def a_zip(forgery: Forgery) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for info, data in forgery.members():
            file.writestr(info.name, data)
    return buffer.getvalue()


@TARS.add
def nothing(forgery: Forgery) -> bytes:
    return b""


@TARS.add
def only_zeros(forgery: Forgery) -> bytes:
    return bytes(10_240)


@TARS.add
def noise(forgery: Forgery) -> bytes:
    return hashlib.shake_256(b"noise").digest(20_000)


@TARS.add
def a_pickle(forgery: Forgery) -> bytes:
    return b"cos\nsystem\n(S'touch evil'\ntR." + bytes(2000)
