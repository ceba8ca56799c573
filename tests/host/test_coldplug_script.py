# SPDX-License-Identifier: MIT
"""When stage 2 is content with block devices: the script, on pretended programs and functions."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "dracut/93initoverlayfs-stage2/coldplug.sh"
UKI = "/sys/firmware/efi/efivars/StubPcrKernelImage-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
ROOT = "ro root=UUID=1 rd.initoverlayfs.timeout=5 rd.shell=0 rd.systemd.show_status=1 nosplash"


class Machine:
    """The places and programs of a stage 2 whose root is there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.words = ROOT
        self.status = {"udevadm": 0, "systemctl": 0}
        self.jobs = "12 initrd.target start waiting"
        self.hooks = {"devexists.sh": "true"}
        self.late = 0  # the call from which on systemd knows all devices
        self.lib = True
        self.programs: list[str] = []
        self.measured = False

    def content(self) -> bool:
        """Whether the script says so."""
        top = self.directory
        (top / "bin").mkdir(parents=True)
        for name in ("mkdir", "sh"):
            (top / "bin" / name).symlink_to(f"/bin/{name}")
        for name, status in self.status.items():
            text = f'#!/bin/sh\necho "{name} $*" >>{top}/calls\n'
            if name == "systemctl":
                calls = f"$(($(/usr/bin/wc -l <{top}/calls) - 1))"  # the first was udevadm's
                text += f"[ {calls} -ge {self.late} ] || echo '1 late.device start running'\n"
                text += f"/bin/cat <<'E'\n{self.jobs}\nE\n"
            self._program(top / "bin" / name, f"{text}exit {status}\n")
        finished = top / "hooks/initqueue/finished"
        finished.mkdir(parents=True)
        for name, text in self.hooks.items():
            (finished / name).write_text(text)
        (top / "words").write_text(self.words)
        if self.lib:
            (top / "lib").write_text(
                f"hookdir={top}/hooks\n"
                # as dracut's does, with a pattern in it
                f'getcmdline() {{ for i in {top}/word*; do read -r l <"$i"; echo "$l"; done; }}\n'
                f"check_finished() {{ for f in {finished}/*; do . $f || return 1; done; }}\n"
            )
        for name in self.programs:
            self._program(top / "bin" / name, "#!/bin/sh\n")
        if self.measured:
            (top / "uki").touch()
        script = SCRIPT.read_text()
        for path, other in ((UKI, "uki"), ("/lib/dracut-lib.sh", "lib"), ("/run/", "run/")):
            assert path in script
            script = script.replace(path, f"{top}/{other}")
        subprocess.run(["/bin/sh", "-c", script], env={"PATH": f"{top}/bin"}, check=False)
        return (top / "run/initoverlayfs/root-found").exists()

    @staticmethod
    def _program(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)


def test_the_root_is_there(tmp_path: Path) -> None:
    assert Machine(tmp_path).content()
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0].startswith("udevadm trigger ") and "--subsystem-match=block" in calls[0]
    assert calls[1].startswith("systemctl list-jobs ")


@pytest.mark.parametrize(("late", "content"), [(3, True), (99, False)])
def test_systemd_comes_to_its_devices_one_by_one(tmp_path: Path, late: int, content: bool) -> None:
    machine = Machine(tmp_path)
    machine.late = late
    assert machine.content() is content
    assert (tmp_path / "calls").read_text().count("systemctl") == (3 if content else 8)


@pytest.mark.parametrize(
    "word",
    [
        *("rd.initoverlayfs.coldplug=all", "rd.break", "rd.break=pre-mount", "rd.neednet=1"),
        *("ip=dhcp", "rd.luks.uuid=x", "rd.live.image", "rootflags=ro,logdev=/dev/sdb"),
    ],
)
def test_words_that_ask_for_more(tmp_path: Path, word: str) -> None:
    machine = Machine(tmp_path)
    machine.words += " " + word
    assert not machine.content()
    assert not (tmp_path / "calls").exists()  # and nothing is done twice


@pytest.mark.parametrize(("program", "content"), [("plymouthd", False), ("other", True)])
def test_a_splash_screen(tmp_path: Path, program: str, content: bool) -> None:
    machine = Machine(tmp_path)
    machine.words += " splash"
    machine.programs = [program]
    assert machine.content() is content


@pytest.mark.parametrize(
    "change",
    [
        {"lib": False},
        {"measured": True},
        {"hooks": {}},
        {"hooks": {"devexists.sh": "true", "other.sh": "false"}},
        {"jobs": "12 dev-disk-by\\x2duuid-2.device start running"},
        {"status": {"udevadm": 1, "systemctl": 0}},
        {"status": {"udevadm": 0, "systemctl": 1}},
    ],
    ids=str,
)
def test_all_devices_where_that_is_not_sure(tmp_path: Path, change: "dict[str, object]") -> None:
    machine = Machine(tmp_path)
    for name, value in change.items():
        setattr(machine, name, value)
    assert not machine.content()
